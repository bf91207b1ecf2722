using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.TensorParallel.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>Decides which part of a model is on which stage of the pipeline; null where there is no pipeline.</summary>
    /// <param name="module">The model, whole, before anything puts hooks on it or divides its parameters.</param>
    /// <param name="example">What the model is called with; null if it lists its parts.</param>
    private PipelineCut? Cut(nn.Module module, Func<IReadOnlyList<Tensor>>? example)
    {
        if (Configuration.PipelineParallelDegree == 1)
            return null;
        if (Device.type != DeviceType.CPU)
            throw new NotSupportedException("Pipeline parallelism runs on CPUs. Set pipeline_parallel_degree to 1 with backend = nccl.");
        if (_tensorParallel.AreIn(module) || DistributedModules.AreIn(module))
        {
            throw new NotSupportedException(
                $"A {module.GetType().Name} has distributed modules, which pipelines cannot cut yet. Let a plan divide its layers instead: ordinary modules "
                + "with tensor_parallel_degree, or set pipeline_parallel_degree to 1.");
        }

        if (example is null && ModelChains.List(module) is null)
        {
            throw new ArgumentException(
                $"pipeline_parallel_degree is {Configuration.PipelineParallelDegree}, but a {module.GetType().Name} does not list its parts, so it has to be "
                + "run once to find where it can be cut. Pass session.DistributedModel an example of what it is called with, as example: () => "
                + "[tokens], or build it as a Sequential.", nameof(module));
        }

        using var scope = NewDisposeScope();
        return CutModel(module, example?.Invoke(), stages: StepSchedules.Placement(Configuration).Stages);
    }

    /// <summary>
    /// Takes this rank's stages of a model that was cut, and lets go of what only other ranks' need, once every parameter has been divided that is
    /// to be.
    /// </summary>
    private PipelinedModel? TakeStages(nn.Module module, PipelineCut? cut)
    {
        if (cut is null)
            return null;
        var stages = new CutModel(module, cut, StepSchedules.Placement(Configuration), Groups.Pipeline.Rank);
        stages.ReleaseOthers();
        return new PipelinedModel(stages, Configuration, Groups.Pipeline);
    }
}
