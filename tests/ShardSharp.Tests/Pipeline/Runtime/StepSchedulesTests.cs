using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>Schedules from files may put stages on any rank, several in a row too, and divide what they like.</summary>
public sealed class StepSchedulesTests
{
    [Theory]
    [InlineData(2, "1F0,1B0,1F1,1B1\n0F0,0F1,0B0,0B1\n")]
    [InlineData(2, "0F0,1F0,3F0,3B0,0F1,1F1,3F1,3I1,3W1,1I0,0B0,1B1,1W0,0I1,0W1\n2F0,2F1,2I0,2B1,2W0\n")]
    [InlineData(1, "0F0,2F0,2I0,2W0,0I0,0W0\n1F0,1B0\n")]
    [InlineData(3, "0F2,0F0,0F1,0I1,0B0,0B2,0W1\n1F1,1F2,1B1,1F0,1B0,1B2\n")]
    public void Any_schedule_trains_and_evaluates_as_one_rank(int microbatches, string schedule)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, schedule);
            var configuration = new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = microbatches, PipelineScheduleFile = file };
            var trial = PipelineTrial.Layers with { Batch = step => (Randoms.Normal(step, 12, 6), Randoms.Normal(100 + step, 12, 3)) };

            trial.MustEqualPlainTraining(2, configuration);

            using var inputs = Randoms.Normal(0, 12, 6);
            using var alone = Randoms.Filled(trial.Create());
            using var expected = alone.call(inputs);
            RankHarness.RunSessions(
                2,
                session =>
                {
                    using var outer = NewDisposeScope();
                    using var model = session.DistributedModel(() => Randoms.Filled(trial.Create()));
                    Assert.True(expected.allclose(model.Forward([inputs], [], (outputs, _) => outputs[0]).Concat(), atol: 1e-6));
                },
                configuration);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
