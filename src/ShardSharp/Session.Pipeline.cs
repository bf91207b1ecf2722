using ShardSharp.Modules;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Pipeline.Runtime;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>
    /// Whether the model is being run to find the parts that a pipeline can cut it into, so that what its modules compute is for nobody (SMP:
    /// <c>is_tracing</c>): for modules that count, print or write. Distributed modules communicate with nobody meanwhile.
    /// </summary>
    public bool IsTracing { get; private set; }

    /// <summary>Decides which part of a model is on which stage of the pipeline; null where there is no pipeline.</summary>
    /// <param name="module">The model, before anything puts hooks on it or divides parameters by a plan.</param>
    /// <param name="example">What the model is called with; null if it lists its parts.</param>
    private PipelineCut? Cut(nn.Module module, Func<object>? example)
    {
        if (Configuration.PipelineParallelDegree == 1)
            return null;
        if (example is null && ModelChains.List(module) is null)
        {
            throw new ArgumentException(
                $"pipeline_parallel_degree is {Configuration.PipelineParallelDegree}, but a {module.GetType().Name} does not list its parts, so it has to be "
                + "run once to find where it can be cut. Pass session.DistributedModel an example of what it is called with, as example: () => "
                + "[tokens], or build it as a Sequential.", nameof(module));
        }

        using var scope = NewDisposeScope();

        // Each rank runs its own part of distributed modules, the first one more often than the others.
        using var rehearsal = Groups.Tensor.Rehearse();
        IsTracing = true;
        try
        {
            return CutInStages(module, example?.Invoke());
        }
        finally
        {
            IsTracing = false;
        }
    }

    private PipelineCut CutInStages(nn.Module module, object? example)
    {
        var stages = StepSchedules.Placement(Configuration).Stages;

        // The model is still where it was built; only this rank's stages go to its GPU.
        if (example is null or IReadOnlyList<Tensor>)
            return CutModel(module, ((IReadOnlyList<Tensor>?)example)?.Select(tensor => tensor.cpu()).ToArray(), stages: stages);
        var call = new ModuleCall(module);
        var arguments = new StructuredTensors(call.Names.Zip(call.Arguments(example)));
        return CutModel(module, [.. arguments.Tensors.Select(tensor => tensor.cpu())], ofMicrobatch => call.Invoke(arguments.Build(ofMicrobatch)), stages);
    }

    /// <summary>
    /// Takes this rank's stages of a model that was cut, and lets go of what only other ranks' need, once every parameter has been divided that is
    /// to be.
    /// </summary>
    private PipelinedModel? TakeStages(nn.Module module, PipelineCut? cut)
    {
        if (cut is null)
            return null;
        var stages = new CutModel(module, cut, StepSchedules.Placement(Configuration), Groups.Pipeline.Rank) { Sharers = Groups.Tensor };
        stages.ReleaseOthers();
        return new PipelinedModel(stages, Configuration, Groups.Pipeline, Device);
    }
}
