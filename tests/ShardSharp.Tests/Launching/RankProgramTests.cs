using System.Diagnostics;
using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Launching;

/// <summary>A real .NET program on two ranks, launched by the test or by itself, and stopped in the ways a program can be.</summary>
public sealed class RankProgramTests
{
    // Far more than any of them takes: a launcher that waits for ever should fail its test and not stop the run.
    private const int Deadline = 120_000;

    private static readonly string ProgramFile = Path.Combine(AppContext.BaseDirectory, "ShardSharp.Tests.RankProgram.dll");

    [Fact(Timeout = Deadline)]
    public async Task Ranks_get_the_arguments_exactly()
    {
        string[] arguments = ["arguments", "two words", "", "\"quoted\"", "ünï", "--flag=$HOME *"];
        using var launcher = Start(arguments);

        var joined = string.Join('|', arguments);
        Assert.Equal([$"[rank 0] {joined}", $"[rank 1] {joined}"], RecordingConsole.Sorted(await ReadAsync(launcher.StandardOutput)));
        Assert.Equal(0, await ExitCodeAsync(launcher));
    }

    [Fact]
    public void Long_lines_of_many_ranks_stay_whole()
    {
        var console = new RecordingConsole();
        Assert.Equal(0, Launch(console, "long-lines").ExitCode);

        string[] expected = [.. LinesOf(0, 'a'), .. LinesOf(1, 'b')];
        Assert.Equal(expected, RecordingConsole.Sorted(console.Output));
        Assert.Equal(expected, RecordingConsole.Sorted(console.Error));

        static IEnumerable<string> LinesOf(int rank, char letter) => Enumerable.Repeat($"[rank {rank}] {new string(letter, 20_000)}", 100);
    }

    [Fact]
    public void An_unhandled_exception_is_shown_with_its_rank()
    {
        var console = new RecordingConsole();
        var outcome = Launch(console, "throw");

        Assert.Equal(134, outcome.ExitCode);
        var report = $"[rank {outcome.Cause!.Value.Rank}] Unhandled exception. System.InvalidOperationException: the work went wrong\n";
        Assert.Contains(report, console.Error, StringComparison.Ordinal);
        Assert.Contains(" was killed by SIGABRT (signal 6; an unhandled exception", console.Error, StringComparison.Ordinal);
    }

    [Fact(Timeout = Deadline)]
    public async Task Ctrl_C_reaches_ranks_as_SIGTERM_from_the_launcher_alone()
    {
        using var meeting = new Meeting();
        using var launcher = Start(["wait", meeting.Path]);
        var ranks = await meeting.AcceptAsync(2);

        // A terminal sends it to all of its processes.
        foreach (var processId in (int[])[.. ranks, launcher.Id])
        {
            using var kill = Process.Start("kill", ["-INT", $"{processId}"]);
            Assert.Equal(0, await ExitCodeAsync(kill));
        }

        Assert.Equal(
            ["[rank 0] told to end", "[rank 1] told to end"],
            RecordingConsole.Sorted(await ReadAsync(launcher.StandardOutput)));
        Assert.Equal("shardsharp: stopped by SIGINT; all 2 ranks were told to end.\n", await ReadAsync(launcher.StandardError));
        Assert.Equal(130, await ExitCodeAsync(launcher));
        await meeting.AllGoneAsync();
    }

    [Fact(Timeout = Deadline)]
    public async Task Ranks_die_with_a_launcher_that_is_killed()
    {
        using var meeting = new Meeting();
        using var launcher = Start(["wait-stubbornly", meeting.Path]);
        await meeting.AcceptAsync(2);

        launcher.Kill();

        await meeting.AllGoneAsync();
    }

    [Fact(Timeout = Deadline)]
    public async Task A_rank_whose_launcher_is_gone_does_not_start()
    {
        using var gone = Process.Start("true");
        await ExitCodeAsync(gone);
        using var rank = Start(["arguments"], (RankVariables.Rank, "0"), (RankVariables.Launcher, $"{gone.Id}:1"));

        var message = $"The launcher of this rank (process {gone.Id}) has ended.";
        Assert.Contains(message, await ReadAsync(rank.StandardError), StringComparison.Ordinal);
        Assert.Equal("", await ReadAsync(rank.StandardOutput));
    }

    private static LaunchOutcome Launch(RecordingConsole console, string scenario)
    {
        var launch = new LocalLaunch { Command = new ProgramCommand("dotnet", [ProgramFile, scenario]), Ranks = 2, ThreadsPerRank = 1 };
        return new LocalProcessLauncher(launch, console.Console).Run();
    }

    private static Process Start(string[] arguments, params (string Variable, string Value)[] environment)
    {
        var start = new ProcessStartInfo("dotnet", [ProgramFile, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((var variable, var value) in environment)
            start.Environment[variable] = value;
        return Process.Start(start)!;
    }

    private static Task<string> ReadAsync(StreamReader stream) => stream.ReadToEndAsync(TestContext.Current.CancellationToken);

    private static async Task<int> ExitCodeAsync(Process process)
    {
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return process.ExitCode;
    }
}
