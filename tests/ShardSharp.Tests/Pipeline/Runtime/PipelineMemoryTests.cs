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
    public void Tensors_of_a_step_are_all_freed() => Run((model, inputs, labels) => model.Step(inputs, labels, PipelineTrial.Layers.Loss));

    [Fact]
    public void Tensors_of_a_step_of_values_are_all_freed() => Run((model, inputs, labels) => model.Step(
        inputs, new Dictionary<string, Tensor> { ["labels"] = labels },
        (Tensor output, Dictionary<string, Tensor> given) => (Loss: PipelineTrial.Layers.Loss(output, given["labels"]), Outputs: new[] { output, output + 1 })));

    private static void Run(Func<DistributedModel<nn.Module<Tensor, Tensor>>, Tensor, Tensor, IDisposable> step) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var model = session.DistributedModel(PipelineTrial.Layers.Create);
            using var inputs = Randoms.Normal(0, 16, 6);
            using var labels = Randoms.Normal(1, 16, 3);
            var counts = new List<long>();
            for (var i = 0; i < 10; i++)
            {
                using (step(model, inputs, labels))
                    session.Groups.World.Barrier();
                model.ZeroGradients();
                session.Groups.World.Barrier();
                counts.Add(Tensor.TotalCount);
                session.Groups.World.Barrier();
            }

            // How many buffers there are for what comes before it is needed follows from how fast the ranks are; a leak adds to every step.
            Assert.True(counts[^1] - counts[1] < 4, $"tensors after each step: {string.Join(", ", counts)}");
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4, Pipeline = PipelineScheduleKind.ZeroBubbleH1 });
}
