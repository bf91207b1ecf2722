using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Pipeline.Schedules;

public sealed class ScheduleCsvTests
{
    [Fact]
    public void What_a_schedule_writes_is_read()
    {
        foreach (var kind in Enum.GetValues<PipelineScheduleKind>())
        {
            var schedule = PipelineSchedules.Create(kind, 3, 7);

            var read = ScheduleCsv.Parse("again", $"# a comment\n\n{schedule}");

            Assert.Equal(schedule.ToString(), read.ToString());
            Assert.Equal(
                Enumerable.Range(0, schedule.Placement.Stages).Select(schedule.Placement.RankOf),
                Enumerable.Range(0, read.Placement.Stages).Select(read.Placement.RankOf));
        }
    }

    [Theory]
    [InlineData("", "no action")]
    [InlineData("0F0,0B0\n0F1", "Line 2: stage 0 is on rank 0 already")]
    [InlineData("\n0F0,0Z0", "Line 2: '0Z0'")]
    [InlineData("0F0,2F0", "Stage 1 is on no rank")]
    public void Wrong_text_is_refused_with_its_line(string csv, string reason) => Assert.Contains(
        reason, Assert.Throws<FormatException>(() => ScheduleCsv.Parse("mine", csv)).Message, StringComparison.Ordinal);
}
