using System.Diagnostics;
using ShardSharp.Launching;
using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Launching;

/// <summary>Launches whose ranks are shell scripts (they start in a millisecond) with a named pipe to wait for one another.</summary>
internal sealed class RankScript : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardsharp-test-");

    public RankScript()
    {
        using var make = Process.Start("mkfifo", [Pipe]);
        make.WaitForExit();
    }

    /// <summary>Every step of a shutdown waits for what the ranks do, so that no result hangs on time.</summary>
    public static LaunchGrace Unhurried { get; } = new()
    {
        Report = Timeout.InfiniteTimeSpan,
        TerminateFailed = Timeout.InfiniteTimeSpan,
        Terminate = Timeout.InfiniteTimeSpan,
        Kill = Timeout.InfiniteTimeSpan,
    };

    public string Pipe => Path.Combine(_folder.FullName, "pipe");

    public string Job { get; private set; } = "";

    public RecordingConsole Console { get; init; } = new();

    /// <summary>Runs the script on some ranks; $SHARDSHARP_RANK tells them apart, $PIPE is a named pipe.</summary>
    public LaunchOutcome Run(int ranks, string script, LaunchGrace? grace = null, LaunchInterrupts? interrupts = null)
    {
        using var none = new LaunchInterrupts();
        var launch = new LocalLaunch
        {
            Command = new ProgramCommand("/bin/sh", ["-c", script]),
            Ranks = ranks,
            ThreadsPerRank = 3,
            Environment = new Dictionary<string, string> { ["PIPE"] = Pipe },
            Grace = grace ?? Unhurried,
        };
        Job = launch.Job;
        var outcome = new LocalProcessLauncher(launch, Console.Console).Run(interrupts ?? none);
        Assert.All(outcome.Exits, exit => Assert.False(Directory.Exists($"/proc/{exit.ProcessId}")));
        return outcome;
    }

    public IReadOnlyList<int> Leftovers => HostPlatform.Current.ProcessesWithEnvironment(RankVariables.Job, Job);

    public void Dispose() => _folder.Delete(recursive: true);
}
