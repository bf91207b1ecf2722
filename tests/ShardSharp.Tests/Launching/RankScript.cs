using ShardSharp.Launching;
using ShardSharp.Native;

namespace ShardSharp.Tests.Launching;

/// <summary>Launches whose ranks are shell scripts (they start in a millisecond) with named pipes to wait for one another.</summary>
internal sealed class RankScript : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardsharp-test-");

    public RecordingConsole Console { get; init; } = new();

    /// <summary>Runs the script on some ranks; $SHARDSHARP_RANK tells them apart, $PIPES holds two named pipes, "a" and "b".</summary>
    /// <remarks>With the usual grace each step of a shutdown waits for what the script does: for ever, so that no result hangs on time.</remarks>
    public LaunchOutcome Run(int ranks, string script, LaunchGrace? grace = null, LaunchInterrupts? interrupts = null, Action<RankExit>? rankEnded = null)
    {
        using var none = new LaunchInterrupts();
        var launch = new LocalLaunch
        {
            Command = new ProgramCommand("/bin/sh", ["-c", script]),
            Ranks = ranks,
            ThreadsPerRank = 3,
            Environment = new Dictionary<string, string> { ["PIPES"] = MakePipes() },
            Grace = grace ?? Unhurried,
            RankEnded = rankEnded,
        };
        Job = launch.Job;
        LaunchOutcome outcome = new LocalProcessLauncher(launch, Console.Console).Run(interrupts ?? none);
        Assert.All(outcome.Exits, exit => Assert.False(Directory.Exists($"/proc/{exit.ProcessId}")));
        return outcome;
    }

    public static LaunchGrace Unhurried { get; } = new()
    {
        Report = Timeout.InfiniteTimeSpan,
        Terminate = Timeout.InfiniteTimeSpan,
        Kill = Timeout.InfiniteTimeSpan,
    };

    public string Job { get; private set; } = "";

    public IReadOnlyList<int> Leftovers => HostPlatform.Current.ProcessesWithEnvironment(RankVariables.Job, Job);

    public void Dispose() => _folder.Delete(recursive: true);

    private string MakePipes()
    {
        using var make = System.Diagnostics.Process.Start("mkfifo", [Path.Combine(_folder.FullName, "a"), Path.Combine(_folder.FullName, "b")]);
        make.WaitForExit();
        return _folder.FullName;
    }
}
