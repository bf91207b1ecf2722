using ShardSharp.Communication;
using ShardSharp.DataParallel;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Precision;
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

    private protected StepOutput RunPipelineStep(
        PipelineArguments arguments, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> loss, MicrobatchWeights? weights)
    {
        using var factors = new LossFactors(arguments.Count, Configuration, weights);
        var step = new TrainingStep(this, arguments, loss, factors, weights) { Synchronizes = Synchronizes() };
        StepMemory.BeginStep();
        _activations.BeginStep();
        using (StepMemory.BeginMicrobatch())
            _activations.Backward(() => step.Run(Pipeline!));
        StepMemory.EndStep();
        _activations.EndStep(arguments.Count);
        return EndStep(step.Synchronizes, Pipeline!.Share(step.Results), weights);
    }

    private protected StepOutput RunPipelineForward(
        PipelineArguments arguments, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> output)
    {
        using var _ = no_grad();
        var step = new EvaluationStep(this, arguments, output);
        Explained(() =>
        {
            Pipeline!.Run(arguments.Count, isTraining: false, step);
            return true;
        });
        return new StepOutput(Pipeline!.Share(step.Results));
    }

    private void ZeroTiedGradients()
    {
        foreach (var tie in Pipeline?.Ties ?? [])
            tie.ZeroGradient();
    }

    /// <summary>What training and evaluation have in common: microbatches go in, something comes out at the last stage.</summary>
    private abstract class PipelineStep(DistributedModel model, PipelineArguments arguments) : IPipelineStep
    {
        private readonly PrecisionPolicy? _precision = PrecisionPolicy.Of(model.Configuration);
        private readonly Tensor[] _results = new Tensor[arguments.Count];

        protected DistributedModel Model => model;

        protected int Count => arguments.Count;

        /// <summary>What the last stage computed for each microbatch, on its rank.</summary>
        public IReadOnlyList<Tensor> Results => model.Pipeline!.IsLast ? _results : [];

        public IReadOnlyList<Tensor> Inputs(int microbatch) => Cast(arguments.Inputs(microbatch), _precision?.Compute);

        public Tensor? End(int microbatch, IReadOnlyList<Tensor> outputs)
        {
            var value = Compute(microbatch, Cast(outputs, _precision?.Output), arguments.Labels(microbatch));

            // A clone, because the value may be a view of memory that the pipeline uses again.
            _results[microbatch] = value.detach().clone().MoveToOuterDisposeScope();
            return Root(microbatch, value);
        }

        public abstract void BeforeGradients(bool isLast);

        public abstract void AfterGradients(bool isLast);

        protected abstract Tensor Compute(int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels);

        protected abstract Tensor? Root(int microbatch, Tensor value);

        private static IReadOnlyList<Tensor> Cast(IReadOnlyList<Tensor> tensors, ScalarType? type) =>
            type is { } to ? [.. tensors.Select(tensor => (Tensor)ModuleCasts.Cast(tensor, to)!)] : tensors;
    }

    private sealed class EvaluationStep(
        DistributedModel model, PipelineArguments arguments, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> output)
        : PipelineStep(model, arguments)
    {
        public override void BeforeGradients(bool isLast)
        {
        }

        public override void AfterGradients(bool isLast)
        {
        }

        protected override Tensor Compute(int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels) => output(outputs, labels);

        protected override Tensor? Root(int microbatch, Tensor value) => null;
    }

    private sealed class TrainingStep(
        DistributedModel model, PipelineArguments arguments, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> loss, LossFactors factors,
        MicrobatchWeights? weights) : PipelineStep(model, arguments)
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
        }

        public override void BeforeGradients(bool isLast) => Model._engine.Arm(IsLast(isLast), _lossScale);

        public override void AfterGradients(bool isLast)
        {
            Model.TensorRanks?.ThrowDeferred();
            foreach (var tie in _ties)
                tie.TakeShare();
            Model._engine.Finish(IsLast(isLast));
        }

        protected override Tensor Compute(int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> labels)
        {
            var value = WeightedLoss.Compute(outputs, labels, loss, weights?.Shares[microbatch]);
            RequireLoss(value);
            return value;
        }

        protected override Tensor Root(int microbatch, Tensor value)
        {
            var scaled = factors.Scale(value, microbatch);
            using Scalar scale = _lossScale;
            return _lossScale == 1 ? scaled : scaled.to_type(ScalarType.Float32) * scale;
        }

        /// <summary>Gradients of tied parameters are complete only when the ranks have exchanged them, so until then none are averaged.</summary>
        private bool IsLast(bool isLastOfRank) => isLastOfRank && Synchronizes && _ties.Count == 0;
    }
}
