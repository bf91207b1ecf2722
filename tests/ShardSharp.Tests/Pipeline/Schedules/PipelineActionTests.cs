using CsCheck;
using ShardSharp.Pipeline.Schedules;

namespace ShardSharp.Tests.Pipeline.Schedules;

public sealed class PipelineActionTests
{
    [Fact]
    public void What_is_written_is_read() =>
        Gen.Select(Gen.Int[0, 5000], Gen.Enum<PipelineActionKind>(), Gen.Int[0, 5000])
            .Select((stage, kind, microbatch) => new PipelineAction(stage, kind, microbatch))
            .Sample(action => Assert.Equal(action, PipelineAction.Parse(action.ToString())));

    [Theory]
    [InlineData("")]
    [InlineData("F")]
    [InlineData("0F")]
    [InlineData("F0")]
    [InlineData("0X1")]
    [InlineData("-1F0")]
    [InlineData("0F0 ")]
    [InlineData("0F99999999999")]
    [InlineData("0FB1")]
    public void Anything_else_is_refused_with_an_example(string text) =>
        Assert.Contains("3F0", Assert.Throws<FormatException>(() => PipelineAction.Parse(text)).Message, StringComparison.Ordinal);
}
