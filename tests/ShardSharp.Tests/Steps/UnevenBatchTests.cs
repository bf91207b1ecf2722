using ShardSharp.Steps;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.Pipeline.Runtime;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Steps;

/// <summary>A batch that microbatches do not divide gives the loss and the gradients of the whole of it.</summary>
public sealed class UnevenBatchTests
{
    /// <summary>Of the samples of several copies of the model the first one has all but one.</summary>
    [Theory]
    [InlineData(1, 1, 7, 3)]
    [InlineData(1, 1, 2, 4)]
    [InlineData(2, 2, 7, 4)]
    [InlineData(2, 1, 8, 3)]
    [InlineData(4, 2, 6, 4)]
    public void Gradients_are_those_of_all_samples(int ranks, int stages, int samples, int microbatches)
    {
        using var outer = NewDisposeScope();
        var (inputs, labels) = (Randoms.Normal(1, samples, 6), Randoms.Normal(2, samples, 3));
        using var alone = Randoms.Filled(PipelineTrial.Layers.Create());
        var loss = PipelineTrial.Layers.Loss(alone.call(inputs), labels);
        loss.backward();
        var gradients = alone.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad!);
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(PipelineTrial.Layers.Create()));
                var copies = session.Groups.ReducedData;
                var own = copies.Size == 1 ? samples : copies.Rank == 0 ? samples - 1 : 1;
                using var output = model.Step(
                    [inputs.narrow(0, copies.Rank == 0 ? 0 : samples - 1, own)], [labels.narrow(0, copies.Rank == 0 ? 0 : samples - 1, own)],
                    (outputs, targets) => PipelineTrial.Layers.Loss(outputs[0], targets[0]), new StepOptions { Uneven = true });

                Assert.Equal(Math.Min(own, microbatches), output.Outputs.Count);
                Assert.Equal(loss.item<float>(), session.MeanOverDataRanks(output.ReduceMean()), 1e-5);
                Assert.All(model.NamedParameters, named => Assert.True(gradients[named.Name].allclose(named.Parameter.grad!, atol: 1e-5)));
            },
            new ParallelConfiguration { PipelineParallelDegree = stages, Microbatches = microbatches });
    }

    [Fact]
    public void Without_being_asked_for_the_error_names_what_works() => RankHarness.RunSessions(
        1,
        session =>
        {
            using var scope = NewDisposeScope();
            using var model = session.DistributedModel(PipelineTrial.Layers.Create);
            var refusal = Assert.Throws<ArgumentException>(() => model.Step(zeros(6, 6), zeros(6, 3), PipelineTrial.Layers.Loss)).Message;
            Assert.Contains("does not divide the 6 samples of this rank's batch. Values that do: 1, 2, 3, 6.", refusal, StringComparison.Ordinal);
            Assert.Contains("multiples of 4; others with StepOptions.Uneven", refusal, StringComparison.Ordinal);
        },
        new ParallelConfiguration { Microbatches = 4 });

    [Fact]
    public void Parts_differ_by_one_and_are_all_of_the_batch()
    {
        using var scope = NewDisposeScope();
        for (var samples = 1; samples < 12; samples++)
        {
            for (var count = 1; count < 9; count++)
            {
                var batch = new Microbatches([arange(samples)], count, uneven: true);
                Assert.True(cat([.. Enumerable.Range(0, batch.Count).Select(index => batch.Slice(index)[0])]).equal(arange(samples)).all().item<bool>());
                Assert.InRange(batch.Sizes.Max() - batch.Sizes.Min(), 0, 1);
                Assert.Equal(Math.Min(samples, count), batch.Count);
            }
        }
    }
}
