using ShardSharp.Launching;
using ShardSharp.Native;

namespace ShardSharp.Tests.Launching;

public sealed class LocalProcessLauncherTests : IDisposable
{
    private const string WaitForEver = "exec tail -f /dev/null";

    private readonly RankScript _script = new();

    public void Dispose()
    {
        var leftovers = _script.Leftovers;
        _script.Dispose();
        Assert.Empty(leftovers);
    }

    [Fact]
    public void Prefixes_each_line_and_ends_the_last()
    {
        var outcome = _script.Run(2, "printf 'one\\ntwö'; printf 'oops' >&2");

        Assert.Equal(0, outcome.ExitCode);
        Assert.Equal(["[rank 0] one", "[rank 0] twö", "[rank 1] one", "[rank 1] twö"], RecordingConsole.Sorted(_script.Console.Output));
        Assert.Equal(["[rank 0] oops", "[rank 1] oops"], RecordingConsole.Sorted(_script.Console.Error));
    }

    [Fact]
    public void Tells_each_rank_who_it_is()
    {
        _script.Run(2, "echo $SHARDSHARP_RANK $SHARDSHARP_WORLD_SIZE $SHARDSHARP_LOCAL_RANK $SHARDSHARP_LOCAL_SIZE $SHARDSHARP_JOB " +
            "${SHARDSHARP_LAUNCHER%:*} $OMP_NUM_THREADS $MKL_NUM_THREADS");

        var rest = $"{_script.Job} {Environment.ProcessId} 3 3";
        Assert.Equal([$"[rank 0] 0 2 0 2 {rest}", $"[rank 1] 1 2 1 2 {rest}"], RecordingConsole.Sorted(_script.Console.Output));
        Assert.Matches("^[0-9a-f]{16}$", _script.Job);
    }

    [Fact]
    public void Gives_the_terminal_itself_to_rank_0()
    {
        using var script = new RankScript { Console = new RecordingConsole(outputIsTerminal: true) };
        script.Run(2, "if [ /proc/self/fd/1 -ef /proc/$PPID/fd/1 ]; then echo inherited >&2; else echo mine; fi");

        Assert.Equal("[rank 0] inherited\n", script.Console.Error);
        Assert.Equal("[rank 1] mine\n", script.Console.Output);
    }

    [Fact]
    public void Gives_ranks_other_than_0_an_empty_input()
    {
        const string Script = """
            if [ /proc/self/fd/0 -ef /proc/$PPID/fd/0 ]; then echo inherited; else cat; echo empty; fi
            """;
        _script.Run(2, Script);

        Assert.Equal(["[rank 0] inherited", "[rank 1] empty"], RecordingConsole.Sorted(_script.Console.Output));
    }

    [Fact]
    public void Ends_all_when_one_exits_with_a_code()
    {
        var outcome = _script.Run(
            3, "if [ $SHARDSHARP_RANK = 1 ]; then exit 3; fi; " + WaitForEver, RankScript.Unhurried with { Report = TimeSpan.Zero });

        Assert.Equal(3, outcome.ExitCode);
        Assert.Equal(
            $"shardsharp: rank 1 (pid {outcome.Cause!.Value.ProcessId}) exited with code 3.\n" +
            "shardsharp: ended because of it: rank 0 (SIGTERM), rank 2 (SIGTERM).\n",
            _script.Console.Error);
    }

    [Fact]
    public void Names_the_signal_that_killed_a_rank()
    {
        var outcome = _script.Run(2, "if [ $SHARDSHARP_RANK = 1 ]; then kill -KILL $$; fi");

        Assert.Equal(137, outcome.ExitCode);
        Assert.Contains(
            " was killed by SIGKILL (signal 9; out of memory is a usual cause).", _script.Console.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("ended because of it", _script.Console.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Kills_a_rank_that_ignores_SIGTERM()
    {
        var outcome = _script.Run(
            2,
            $"if [ $SHARDSHARP_RANK = 1 ]; then read x < $PIPE; exit 3; fi; trap '' TERM; echo ready > $PIPE; {WaitForEver}",
            RankScript.Unhurried with { Report = TimeSpan.Zero, TerminateFailed = TimeSpan.Zero });

        Assert.Equal(3, outcome.ExitCode);
        Assert.Equal(9, outcome.Exits.Single(exit => exit.Rank == 0).Signal);
    }

    [Fact]
    public void Lets_the_others_notice_and_report_first()
    {
        // Reading ends when rank 1, which holds the pipe open for writing, is gone.
        var outcome = _script.Run(2, """
            if [ $SHARDSHARP_RANK = 1 ]; then exec 3> $PIPE; kill -KILL $$; fi
            cat < $PIPE; echo 'rank 1 is gone'; exit 120
            """);

        Assert.Equal(137, outcome.ExitCode);
        Assert.Equal("[rank 0] rank 1 is gone\n", _script.Console.Output);
    }

    [Fact]
    public void Looks_for_the_cause_behind_a_rank_that_says_it_followed()
    {
        var outcome = _script.Run(2, """
            if [ $SHARDSHARP_RANK = 0 ]; then exec 3> $PIPE; exit 120; fi
            cat < $PIPE; exit 5
            """);

        Assert.Equal((5, 1), (outcome.ExitCode, outcome.Cause!.Value.Rank));
        Assert.EndsWith("shardsharp: ended because of it: rank 0.\n", _script.Console.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Exits_with_1_when_every_rank_says_it_followed()
    {
        Assert.Equal(1, _script.Run(2, "exit 120").ExitCode);
    }

    [Fact]
    public void Goes_on_when_a_rank_ends_early_with_success()
    {
        var outcome = _script.Run(2, """
            if [ $SHARDSHARP_RANK = 0 ]; then exec 3> $PIPE; exit 0; fi
            cat < $PIPE; echo done
            """, grace: new LaunchGrace { Report = TimeSpan.Zero, TerminateFailed = TimeSpan.Zero });

        Assert.Equal(0, outcome.ExitCode);
        Assert.Equal("[rank 1] done\n", _script.Console.Output);
    }

    [Theory]
    [InlineData(2, 130, "SIGINT")]
    [InlineData(15, 143, "SIGTERM")]
    [InlineData(1, 129, "SIGHUP")]
    public void Passes_a_signal_on_as_one_SIGTERM(int signal, int exitCode, string name)
    {
        using var interrupts = new LaunchInterrupts();
        using var script = new RankScript { Console = new RecordingConsole(outputWritten: SignalWhenAllAreReady) };
        var outcome = script.Run(
            2, "trap 'echo told; kill $!; exit 0' TERM; tail -f /dev/null & echo ready; wait", interrupts: interrupts);

        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Equal(
            ["[rank 0] ready", "[rank 0] told", "[rank 1] ready", "[rank 1] told"],
            RecordingConsole.Sorted(script.Console.Output));
        Assert.Equal($"shardsharp: stopped by {name}; all 2 ranks were told to end.\n", script.Console.Error);

        void SignalWhenAllAreReady(string output)
        {
            if (output.EndsWith("ready\n", StringComparison.Ordinal) && output.Split('\n').Length == 3)
                interrupts.Post(signal);
        }
    }

    [Fact]
    public void Kills_at_once_at_the_second_signal()
    {
        using var interrupts = new LaunchInterrupts();
        using var script = new RankScript { Console = new RecordingConsole(outputWritten: _ => Array.ForEach([2, 2], interrupts.Post)) };
        var outcome = script.Run(1, $"trap '' TERM; echo ready; {WaitForEver}", interrupts: interrupts);

        Assert.Equal((130, 9), (outcome.ExitCode, Assert.Single(outcome.Exits).Signal));
    }

    [Fact]
    public void Ends_what_a_failed_rank_had_started()
    {
        // The launch ends only once nobody holds the rank's output open.
        var outcome = _script.Run(1, "tail -f /dev/null & exit 3");

        Assert.Equal(3, outcome.ExitCode);
    }

    [Fact]
    public void Does_not_wait_for_what_a_successful_rank_left_running()
    {
        var grace = new LaunchGrace { Kill = TimeSpan.FromMilliseconds(50) };
        var outcome = _script.Run(1, "exec 3<> $PIPE; tail -f /dev/null & exit 0", grace);

        Assert.Equal(0, outcome.ExitCode);
        using var heldByWhatIsLeft = File.OpenRead(_script.Pipe);
        HostPlatform.Current.Kill(Assert.Single(_script.Leftovers));
        Assert.Equal(-1, heldByWhatIsLeft.ReadByte());
    }

    [Fact]
    public void Names_a_program_that_cannot_be_started()
    {
        var launch = new LocalLaunch { Command = new ProgramCommand("/no/such/program", []), Ranks = 2, ThreadsPerRank = 1 };
        var exception = Assert.Throws<InvalidOperationException>(() => new LocalProcessLauncher(launch, _script.Console.Console).Run());

        Assert.StartsWith("Rank 0 of 2 could not be started from /no/such/program: ", exception.Message, StringComparison.Ordinal);
    }
}
