using System.Globalization;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.Launching;
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
            for (var i = 0; i < 14; i++)
            {
                using (step(model, inputs, labels))
                    session.Groups.World.Barrier();
                model.ZeroGradients();
                session.Groups.World.Barrier();
                Span<double> kept = [model.Pipeline!.Buffers];
                session.Groups.World.AllReduce(kept);
                counts.Add(Tensor.TotalCount - (long)kept[0]);
                session.Groups.World.Barrier();
            }

            // Ranks make as many buffers for what comes ahead of its time as they turn out to need, and keep them; all else goes with the step.
            Assert.All(counts.Skip(1), count => Assert.Equal(counts[1], count));
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4, Pipeline = PipelineScheduleKind.ZeroBubbleH1 });

    /// <summary>Bytes of the allocator, with ranks that are processes; see <c>PipelineMemoryScenario</c>.</summary>
    [Fact]
    public async Task Activations_at_the_peak_are_what_the_schedule_predicts()
    {
        var result = await SessionProcess.RunAsync("pipeline-memory --ranks 2 --threads_per_rank 1");

        Assert.True(result.ExitCode == 0, result.Error);
        var peaks = result.Output.Split('\n').Where(line => line.Contains("] peak ", StringComparison.Ordinal)).Select(line => line.Split(' ')[3..]).ToArray();
        Assert.Equal(8 * 2, peaks.Length);
        Assert.All(peaks, peak =>
        {
            var (measured, predicted) = (double.Parse(peak[2], CultureInfo.InvariantCulture), double.Parse(peak[3], CultureInfo.InvariantCulture));
            Assert.True(predicted > 0 && Math.Abs((measured / predicted) - 1) < 0.05, string.Join(' ', peak));
        });
    }
}
