using ShardSharp.Communication;
using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class ThreadLauncherTests
{
    [Fact]
    public void Runs_each_rank_on_a_thread_of_its_name()
    {
        var names = new string?[3];
        using var together = new Barrier(3);
        var outcome = Launcher(3).Run(rank =>
        {
            together.SignalAndWait();
            names[rank] = Thread.CurrentThread.Name;
        });

        Assert.Equal<string?[]>(["rank 0", "rank 1", "rank 2"], names);
        Assert.Equal(0, outcome.ExitCode);
        Assert.Empty(outcome.Report());
    }

    [Fact]
    public void Has_room_for_deep_recursion() => Assert.Equal(0, Launcher(1).Run(_ => Assert.Equal(100_000, Depth(100_000))).ExitCode);

    [Fact]
    public void Tells_the_first_failure_before_finally_blocks_run_and_lists_what_followed()
    {
        using var broken = new ManualResetEventSlim();
        var launcher = new ThreadLauncher { Ranks = 3, LeaveFailureToDebugger = false, RankFailed = _ => broken.Set() };
        var outcome = launcher.Run(rank =>
        {
            if (rank != 1)
            {
                broken.Wait();
                throw new RankFailedException($"rank 1 has failed{Environment.NewLine}  rank {rank} waited");
            }

            try
            {
                throw new InvalidOperationException("boom");
            }
            finally
            {
                broken.Wait();
            }
        });

        Assert.Equal((1, 1), (outcome.ExitCode, outcome.Cause!.Rank));
        string[] report = [.. outcome.Report()];
        Assert.StartsWith("rank 1 failed: System.InvalidOperationException: boom", report[0], StringComparison.Ordinal);
        Assert.Equal(["ended because of it: rank 0, rank 2.", "rank 0 waited", "rank 2 waited"], report[1..]);
    }

    [Fact]
    public void Looks_for_the_cause_behind_a_failure_that_followed()
    {
        using var followed = new ManualResetEventSlim();
        var launcher = new ThreadLauncher
        {
            Ranks = 2,
            LeaveFailureToDebugger = false,
            RankFailed = _ => followed.Set(),
        };
        var outcome = launcher.Run(rank =>
        {
            if (rank == 0)
                throw new RankFailedException("rank 1 has failed");
            followed.Wait();
            throw new InvalidOperationException("boom");
        });

        Assert.Equal("boom", outcome.Cause!.Exception.Message);
    }

    [Fact]
    public void Gives_up_on_a_rank_that_does_not_end()
    {
        using var release = new ManualResetEventSlim();
        var launcher = new ThreadLauncher { Ranks = 2, LeaveFailureToDebugger = false, Grace = TimeSpan.Zero };
        var outcome = launcher.Run(rank =>
        {
            if (rank == 0)
                throw new InvalidOperationException("boom");
            release.Wait();
        });
        release.Set();

        Assert.Contains(1, outcome.Unended);
        Assert.Contains("rank 1 has not ended; its thread ends with the process.", outcome.Report());
    }

    private static ThreadLauncher Launcher(int ranks) => new() { Ranks = ranks, LeaveFailureToDebugger = false };

    private static int Depth(int more) => more == 0 ? 0 : 1 + Depth(more - 1);
}
