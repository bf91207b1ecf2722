using ShardSharp.Communication;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Precision;
using ShardSharp.Steps;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>Steps and evaluations whose stages are on several ranks.</content>
public abstract partial class DistributedModel
{
    /// <summary>The stages of the model; null where this rank has all of it.</summary>
    internal PipelinedModel? Pipeline { get; }

    /// <summary>The ranks among which the stages are divided; null where this rank has all.</summary>
    internal ProcessGroup? PipelineRanks => Pipeline?.Group;

    /// <summary>On how many ranks of the pipeline a parameter is, each of which has the same gradient.</summary>
    internal int CopiesInPipeline(string name) => Pipeline?.HoldersOf(name) ?? 1;

    private protected IReadOnlyList<Tensor[]> RunPipelineStep(
        StepArguments arguments, Func<int, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, MicrobatchResult> compute, MicrobatchWeights? weights)
    {
        using var factors = new LossFactors(arguments.Count, Configuration, weights);
        var step = new TrainingStep(this, arguments, compute, factors) { Synchronizes = Synchronizes() };
        StepMemory.BeginStep();
        _activations.BeginStep();
        using (StepMemory.BeginMicrobatch())
            _activations.Backward(() => step.Run(Pipeline!));
        StepMemory.EndStep();
        _activations.EndStep(arguments.Count);
        var results = Pipeline!.Share(step.Results, arguments.Count);
        EndStep(step.Synchronizes);
        return results;
    }

    private protected IReadOnlyList<Tensor[]> RunPipelineForward(
        StepArguments arguments, Func<int, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> output)
    {
        using var _ = no_grad();
        var step = new EvaluationStep(this, arguments, output);
        Explained(() =>
        {
            Pipeline!.Run(arguments.Count, isTraining: false, step);
            return true;
        });
        return Pipeline!.Share(step.Results, arguments.Count);
    }

    private void ZeroTiedGradients()
    {
        foreach (var tie in Pipeline?.Ties ?? [])
            tie.ZeroGradient();
    }

    /// <summary>What training and evaluation have in common: microbatches go in, something comes out at the last stage.</summary>
    private abstract class PipelineStep(DistributedModel model, StepArguments arguments) : IPipelineStep
    {
        private readonly PrecisionPolicy? _precision = PrecisionPolicy.Of(model.Configuration);
        private readonly Tensor[][] _results = new Tensor[arguments.Count][];

        protected DistributedModel Model => model;

        protected int Count => arguments.Count;

        /// <summary>What the last stage computed for each microbatch, on its rank.</summary>
        public IReadOnlyList<IReadOnlyList<Tensor>> Results => model.Pipeline!.IsLast ? _results : [];

        public IReadOnlyList<Tensor> Inputs(int microbatch)
        {
            model.TensorParallelism?.BeginStage();
            return Cast(arguments.InputsOf(microbatch), _precision?.Compute);
        }

        public Tensor? End(int microbatch, IReadOnlyList<Tensor> outputs)
        {
            var (returned, root) = Compute(microbatch, Cast(outputs, _precision?.Output), arguments.LabelsOf(microbatch));

            // Clones, because what is returned may be views of memory that the pipeline uses again.
            _results[microbatch] = [.. returned.Select(tensor => tensor.detach().clone().MoveToOuterDisposeScope())];
            return root;
        }

        public abstract void BeforeGradients(bool isLast);

        public abstract void AfterGradients(bool isLast);

        /// <summary>What to return of a microbatch, and where backward begins; null where there is none.</summary>
        protected abstract (IReadOnlyList<Tensor> Returned, Tensor? Root) Compute(
            int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels);

        private static IReadOnlyList<Tensor> Cast(IReadOnlyList<Tensor> tensors, ScalarType? type) =>
            type is { } to ? [.. tensors.Select(tensor => (Tensor)ModuleCasts.Cast(tensor, to)!)] : tensors;
    }

    private sealed class EvaluationStep(
        DistributedModel model, StepArguments arguments, Func<int, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> output)
        : PipelineStep(model, arguments)
    {
        public override void BeforeGradients(bool isLast)
        {
        }

        public override void AfterGradients(bool isLast)
        {
        }

        protected override (IReadOnlyList<Tensor> Returned, Tensor? Root) Compute(
            int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels) => (output(microbatch, outputs, labels), null);
    }

    private sealed class TrainingStep(
        DistributedModel model, StepArguments arguments, Func<int, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, MicrobatchResult> compute,
        LossFactors factors) : PipelineStep(model, arguments)
    {
        private readonly double _lossScale = model.LossScaler?.Scale ?? 1;
        private readonly IReadOnlyList<TiedCopy> _ties = model.Pipeline!.Ties;

        /// <summary>Whether gradients are averaged at the end.</summary>
        public required bool Synchronizes { get; init; }

        public void Run(PipelinedModel pipeline)
        {
            foreach (var tie in _ties)
                tie.BeginStep();
            Model.Explained(() =>
            {
                pipeline.Run(Count, isTraining: true, this);
                return true;
            });
            foreach (var tie in _ties)
                tie.EndStep(Synchronizes);
            if (!Synchronizes || _ties.Count == 0)
                return;
            Model._engine.Arm(last: true, _lossScale);
            Model._engine.Finish(last: true);
            Model.AverageOverTensorRanks();
        }

        public override void BeforeGradients(bool isLast) => Model._engine.Arm(IsLast(isLast), _lossScale);

        public override void AfterGradients(bool isLast)
        {
            Model.TensorRanks?.ThrowDeferred();
            foreach (var tie in _ties)
                tie.TakeShare();
            Model._engine.Finish(IsLast(isLast));
            if (IsLast(isLast))
                Model.AverageOverTensorRanks();
        }

        protected override (IReadOnlyList<Tensor> Returned, Tensor? Root) Compute(
            int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels)
        {
            var result = compute(microbatch, outputs, labels);
            RequireLoss(result.Loss);
            var scaled = factors.Scale(result.Loss, microbatch);
            using Scalar scale = _lossScale;
            return (result.Tensors, _lossScale == 1 ? scaled : scaled.to_type(ScalarType.Float32) * scale);
        }

        /// <summary>Gradients of tied parameters are complete only when the ranks have exchanged them, so until then none are averaged.</summary>
        private bool IsLast(bool isLastOfRank) => isLastOfRank && Synchronizes && _ties.Count == 0;
    }
}
