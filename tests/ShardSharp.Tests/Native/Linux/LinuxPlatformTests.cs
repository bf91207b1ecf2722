using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Tests.Native.Linux;

public sealed class LinuxPlatformTests
{
    private readonly LinuxPlatform _platform = new();

    [Fact]
    public void Knows_the_words_this_process_was_started_with()
    {
        var managed = Environment.GetCommandLineArgs()[1..];
        Assert.Equal(managed, _platform.CommandLine()![^managed.Length..]);
    }

    [Fact]
    public void Finds_processes_by_their_environment_and_ends_them()
    {
        var value = Guid.NewGuid().ToString("N");
        var start = new ProcessStartInfo("tail", ["-f", "/dev/null"]);
        start.Environment["SHARDSHARP_TEST"] = value;
        using var process = Process.Start(start)!;

        Assert.Equal([process.Id], _platform.ProcessesWithEnvironment("SHARDSHARP_TEST", value));
        Assert.Empty(_platform.ProcessesWithEnvironment("SHARDSHARP_TEST", value[1..]));
        _platform.Terminate(process.Id);
        process.WaitForExit();
        Assert.Equal(143, process.ExitCode);

        _platform.Kill(process.Id);
        Assert.Empty(_platform.ProcessesWithEnvironment("SHARDSHARP_TEST", value));
    }

    [Fact]
    public void Other_systems_say_what_works_instead()
    {
        var exception = Assert.Throws<PlatformNotSupportedException>(new OtherPlatform().RequireRankProcesses);
        Assert.EndsWith("Run the ranks as threads of one process: --backend threads.", exception.Message, StringComparison.Ordinal);
    }
}
