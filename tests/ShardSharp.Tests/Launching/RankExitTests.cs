using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class RankExitTests
{
    [Theory]
    [InlineData(3, null, "exited with code 3", "code 3")]
    [InlineData(137, 9, "was killed by SIGKILL (signal 9; out of memory is a usual cause)", "SIGKILL")]
    [InlineData(135, 7, "was killed by SIGBUS (signal 7; a full /dev/shm is a usual cause)", "SIGBUS")]
    [InlineData(143, 15, "was killed by SIGTERM (signal 15)", "SIGTERM")]
    [InlineData(255, null, "exited with code 255", "code 255")]
    [InlineData(128, null, "exited with code 128", "code 128")]
    public void Says_how_a_rank_ended(int exitCode, int? signal, string description, string brief)
    {
        var exit = new RankExit(1, 42, exitCode);

        Assert.Equal((signal, description, brief), (exit.Signal, exit.Description, exit.Brief));
    }
}
