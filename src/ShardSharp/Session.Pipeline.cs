using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Pipeline.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>Cuts a model into the stages of the pipeline and lets go of those of other ranks; null where there is no pipeline.</summary>
    private PipelinedModel? Cut(nn.Module module)
    {
        if (Configuration.PipelineParallelDegree == 1)
            return null;
        if (Device.type != DeviceType.CPU)
            throw new NotSupportedException("Pipeline parallelism runs on CPUs. Set pipeline_parallel_degree to 1 with backend = nccl.");
        var chain = ModelChains.List(module) ?? throw new NotSupportedException(
            $"pipeline_parallel_degree is {Configuration.PipelineParallelDegree}, but nothing says where a {module.GetType().Name} can be cut. Build "
            + "it as a Sequential, or let it implement IPipelineModel.");
        var placement = StepSchedules.Placement(Configuration);
        var layers = chain.Parts.Select(part => new LayerCost(
            part.Name, 0, part.Parameters.Sum(parameter => parameter.numel() * parameter.element_size()), 0)).ToArray();
        var partition = PipelinePartitioner.Partition(layers, placement.Stages, memoryWeight: 1);
        var cut = new CutModel(
            module, chain, [.. Enumerable.Range(0, layers.Length).Select(partition.StageOf)], placement, Groups.Pipeline.Rank);
        cut.ReleaseOthers();
        return new PipelinedModel(cut, Configuration, Groups.Pipeline);
    }
}
