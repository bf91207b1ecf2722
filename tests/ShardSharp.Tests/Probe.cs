namespace ShardSharp.Tests;

public sealed class Probe
{
    [Fact]
    public void Runs() => Assert.Equal(4, 2 + 2);
}
