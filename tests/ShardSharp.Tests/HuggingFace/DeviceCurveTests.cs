using ShardSharp.Tests.Communication.Nccl;
using ShardSharp.Topology;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Trainings over NCCL give the losses and gradient norms that transformers and PyTorch gave, in every layout, over fakes of NCCL and the GPUs.</summary>
public sealed class DeviceCurveTests
{
    [Theory]
    [InlineData("llama", 2, "copies")]
    [InlineData("gpt2", 2, "layers")]
    [InlineData("gpt2", 2, "state")]
    [InlineData("llama", 2, "gradients")]
    [InlineData("gpt2", 2, "parameters")]
    [InlineData("llama", 4, "parameters")]
    [InlineData("gpt2", 2, "stages")]
    [InlineData("llama", 4, "divided stages")]
    public void Ranks_with_a_GPU_each_train_as_transformers_does(string model, int ranks, string layout)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        var shards = new ParallelConfiguration { ShardedDataParallelDegree = 2, ShardedPersistenceThreshold = 0 };
        var stages = new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, SplitTiedParameters = true };
        new FakeNcclRun { Ranks = ranks }.RunSessions(session => curve.Run(session), layout switch
        {
            "layers" => new ParallelConfiguration { TensorParallelDegree = 2, PrescaledBatch = true },
            "state" => new ParallelConfiguration { ShardOptimizerState = true },
            "gradients" => shards with { ShardingLevel = ShardingLevel.Gradients },
            "parameters" => shards,
            "stages" => stages with { Microbatches = 4, Pipeline = PipelineScheduleKind.ZeroBubbleH1 },
            "divided stages" => stages with { TensorParallelDegree = 2, PrescaledBatch = true },
            _ => new ParallelConfiguration(),
        });
    }
}
