using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>Counts the tensors of the process, so nothing may run beside it.</summary>
[Collection(nameof(WholeProcess))]
public sealed class PipelineMemoryTests
{
    [Fact]
    public void Tensors_of_a_step_are_all_freed() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(PipelineTrial.Layers.Create);
            using var inputs = Randoms.Normal(0, 16, 6);
            using var labels = Randoms.Normal(1, 16, 3);
            var counts = new List<long>();
            for (var step = 0; step < 4; step++)
            {
                using (model.Step(inputs, labels, PipelineTrial.Layers.Loss))
                    session.Groups.World.Barrier();
                model.ZeroGradients();
                session.Groups.World.Barrier();
                counts.Add(Tensor.TotalCount);
                session.Groups.World.Barrier();
            }

            Assert.Equal(counts[1], counts[^1]);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4, Pipeline = PipelineScheduleKind.ZeroBubbleH1 });
}
