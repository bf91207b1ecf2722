using System.Runtime.InteropServices;
namespace ShardSharp.Tests.Launching;

/// <summary>What a user sees of <see cref="ModelParallel"/>: real programs on real ranks, which work, fail, are killed or are told to stop.</summary>
public sealed class LaunchEndToEndTests
{
    private const int Deadline = 120_000;

    /// <summary>Where ranks that have lost one wait.</summary>
    private const string InAllReduce = @"is in #\d+ all_reduce \(sum\) of 4 Float32 at SessionScenarios\.cs:\d+ in group 'world' and waits for rank ";

    [Fact(Timeout = Deadline)]
    public async Task Ranks_work_together_and_leave_nothing_behind()
    {
        var result = await SessionProcess.RunAsync("sum --ranks 3");

        Assert.Equal(0, result.ExitCode);
        Assert.Equal(
            ["[rank 0] 0 of 3 sums up to 6", "[rank 1] 1 of 3 sums up to 6", "[rank 2] 2 of 3 sums up to 6"],
            RecordingConsole.Sorted(result.Output));
        Assert.Equal(["[rank 0] done", "[rank 1] done", "[rank 2] done"], RecordingConsole.Sorted(result.Error));
    }

    [Theory(Timeout = Deadline)]
    [InlineData("throw")]
    [InlineData("throw-and-tidy-up")]
    public async Task A_rank_that_throws_shows_why_and_the_others_where_they_waited(string scenario)
    {
        var result = await SessionProcess.RunAsync($"{scenario} --ranks 3");

        Assert.Equal(1, result.ExitCode);
        var cause = result.ErrorLinesOf(1);
        Assert.Equal(["Rank 1 failed: System.InvalidOperationException: sample 17 is empty", "see the data set's manual"], cause[..2]);
        Assert.Contains("at SessionScenarios.ReadBatch() in ", cause[2], StringComparison.Ordinal);
        Assert.Matches(@"^rank 1 \(pid \d+\) exited with code 1\.$", result.LauncherLines[0]);
        if (scenario == "throw")
        {
            RequireConsequence(result, "Rank 1 failed: InvalidOperationException: sample 17 is empty", ranks: [0, 2]);
            Assert.Equal("ended because of it: rank 0, rank 2.", result.LauncherLines[1]);
        }
    }

    [Theory(Timeout = Deadline)]
    [InlineData("die", 137, @"^rank 1 \(pid \d+\) was killed by SIGKILL \(signal 9; out of memory is a usual cause\)\.$")]
    [InlineData("exit", 3, @"^rank 1 \(pid \d+\) exited with code 3\.$")]
    public async Task A_rank_that_vanishes_is_named_by_launcher_and_ranks(string scenario, int exitCode, string report)
    {
        var result = await SessionProcess.RunAsync($"{scenario} --ranks 3");

        Assert.Equal(exitCode, result.ExitCode);
        Assert.Matches(report, result.LauncherLines[0]);
        Assert.Equal("ended because of it: rank 0, rank 2.", result.LauncherLines[1]);
        Assert.Single(result.ReportLines, line => line.Contains("  rank 1 (process ", StringComparison.Ordinal));
        RequireConsequence(result, @"Rank 1 \(process \d+\) has died, but other ranks still need it\.", ranks: [0, 2]);
    }

    [Fact(Timeout = Deadline)]
    public async Task A_rank_without_memory_says_what_needs_less()
    {
        var result = await SessionProcess.RunAsync("exhaust-memory --ranks 2");

        Assert.Equal(1, result.ExitCode);
        var cause = result.ErrorLinesOf(1);
        Assert.Matches("^Rank 1 failed: .*can't allocate memory: you tried to allocate 281474976710656 bytes", cause[0]);
        Assert.Contains(cause, line => line.StartsWith("This rank is out of memory: ", StringComparison.Ordinal));
    }

    [Fact(Timeout = Deadline)]
    public async Task Shared_memory_ends_with_the_ranks_that_have_it()
    {
        var name = $"memory-{Guid.NewGuid():N}";

        var result = await SessionProcess.RunAsync($"die-sharing-memory {name} --ranks 3");

        Assert.Equal(137, result.ExitCode);
        Assert.Equal(["[rank 0] holds 7", "[rank 2] holds 7"], result.Output.TrimEnd().Split('\n').Order());
        Assert.DoesNotContain(
            Directory.EnumerateDirectories("/proc").Select(process => Path.Combine(process, "maps")).Where(File.Exists).Select(TryRead),
            maps => maps.Contains(name, StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries("/dev/shm"), file => file.Contains("shardsharp", StringComparison.Ordinal));

        static string TryRead(string file)
        {
            try
            {
                return File.ReadAllText(file);
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                return "";
            }
        }
    }

    [Fact(Timeout = Deadline)]
    public async Task A_rank_that_returns_early_is_named_by_those_that_need_it()
    {
        var result = await SessionProcess.RunAsync("return --ranks 3");

        Assert.Equal(1, result.ExitCode);
        RequireConsequence(result, @"Rank 1 has finished its program, but other ranks still need it\.", ranks: [0, 2]);
        Assert.Equal(
            ["no rank failed by itself; some could not go on without another: rank 0, rank 2. Their messages say why."], result.LauncherLines);
    }

    [Fact(Timeout = Deadline)]
    public async Task Ranks_that_call_different_collectives_give_one_report()
    {
        var file = Path.Combine(Path.GetTempPath(), $"shardsharp-test-{Guid.NewGuid():N}.txt");
        var result = await SessionProcess.RunAsync($"differ --ranks 3 --set flight_recorder_file={file}");
        var written = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);
        File.Delete(file);

        Assert.Equal(1, result.ExitCode);
        var reporter = Assert.Single([0, 1, 2], rank => result.ErrorLinesOf(rank).Length > 1);
        var report = result.ErrorLinesOf(reporter);
        Assert.StartsWith($"Rank {reporter} failed: The ranks of group 'world' called different operations", report[0], StringComparison.Ordinal);
        for (var rank = 0; rank < 3; rank++)
        {
            var called = rank == 1 ? "barrier" : @"all_reduce \(sum\) of 4 Float32";
            Assert.Matches($@"^  rank {rank}: #\d+ {called} at SessionScenarios\.cs:\d+$", report[1 + rank]);
        }

        Assert.Single(result.ReportLines, line => line.Contains("Where the ranks are, as rank ", StringComparison.Ordinal));
        Assert.StartsWith("The ranks of group 'world' called different operations", written, StringComparison.Ordinal);
        Assert.Contains("\nThe last 5 calls of each rank:\n", written, StringComparison.Ordinal);
        Assert.Single(result.ReportLines, line => line.Contains("ranks 0, 2: #", StringComparison.Ordinal));
        Assert.All(report[4..], frame => Assert.StartsWith("   at SessionScenarios.", frame, StringComparison.Ordinal));
        Assert.Matches($@"^rank {reporter} \(pid \d+\) exited with code 1\.$", result.LauncherLines[0]);
    }

    [Theory(Timeout = Deadline)]
    [InlineData("--ranks 0 --set bucket_cap_mb=no", "ranks = 0", "bucket_cap_mb = no")]
    [InlineData("--ranks 2 --set context_parallel_degree=2", "context_parallel_degree = 2", "not supported yet")]
    [InlineData("--ranks 2 --backend mpi", "backend = mpi needs ranks that an MPI launcher started: mpirun -np 2 ")]
    [InlineData("--ranks 2 --backend threads --set ddp_dist_backend=nccl", "ddp_dist_backend = nccl", "must be auto with backend = threads")]
    public async Task A_wrong_configuration_is_reported_once_before_any_rank_starts(string options, params string[] words)
    {
        var result = await SessionProcess.RunAsync($"sum {options}");

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.All(words, word => Assert.Single(result.ErrorLines, line => line.Contains(word, StringComparison.Ordinal)));
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact(Timeout = Deadline)]
    public async Task Ranks_with_GPUs_are_refused_once_where_there_is_no_GPU()
    {
        Assert.SkipWhen(NativeLibrary.TryLoad("libcuda.so.1", out _), "There is a CUDA driver.");
        var result = await SessionProcess.RunAsync("sum --ranks 2 --backend nccl");
        var alone = await SessionProcess.RunAsync("sum --ranks 1 --backend nccl");

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Equal(
            "NCCL needs a GPU for each rank. There is no CUDA driver (libcuda.so.1). Install the driver of the NVIDIA GPU, or run on the CPU.",
            Assert.Single(result.ErrorLines));
        Assert.Equal(1, alone.ExitCode);
        Assert.Contains("There is no CUDA driver", alone.Error, StringComparison.Ordinal);
    }

    [Fact(Timeout = Deadline)]
    public async Task Threads_of_one_process_look_like_ranks()
    {
        var works = SessionProcess.RunAsync("sum --ranks 3 --backend threads");
        var throws = SessionProcess.RunAsync("throw --ranks 3 --backend threads");

        Assert.Equal(0, (await works).ExitCode);
        Assert.Equal(
            ["[rank 0] 0 of 3 sums up to 6", "[rank 1] 1 of 3 sums up to 6", "[rank 2] 2 of 3 sums up to 6"],
            RecordingConsole.Sorted((await works).Output));
        Assert.Equal(["[rank 0] done", "[rank 1] done", "[rank 2] done"], RecordingConsole.Sorted((await works).Error));

        Assert.Equal(1, (await throws).ExitCode);
        var report = (await throws).LauncherLines;
        Assert.Equal("rank 1 failed: System.InvalidOperationException: sample 17 is empty", report[0]);
        Assert.Equal("ended because of it: rank 0, rank 2.", report[1]);
        Assert.Matches($"^Rank 0 {InAllReduce}", report[2]);
        Assert.Matches($"^Rank 2 {InAllReduce}", report[3]);
    }

    [Theory(Timeout = Deadline)]
    [InlineData("INT", 130)]
    [InlineData("TERM", 143)]
    [InlineData("KILL", 137)]
    public async Task A_signal_to_the_launcher_ends_all_ranks(string signal, int exitCode)
    {
        using var meeting = new Meeting();
        using var launcher = new SessionProcess($"meet {meeting.Path} --ranks 3");
        await meeting.AcceptAsync(3);

        await launcher.SignalAsync(signal);

        var result = await launcher.Result;
        await meeting.AllGoneAsync();
        Assert.Equal(exitCode, result.ExitCode);
        if (signal == "KILL")
            return; // Nobody is left to say anything, or to clear .NET's own files away.
        Assert.Equal([$"stopped by SIG{signal}; all 3 ranks were told to end."], result.LauncherLines);
        launcher.RequireNothingLeft();
    }

    [Fact(Timeout = Deadline)]
    public async Task A_program_without_libtorch_names_the_package()
    {
        var folder = Directory.CreateTempSubdirectory("shardsharp-test-");
        try
        {
            foreach (var name in (string[])["ShardSharp*", "TorchSharp.dll", "Google.Protobuf.dll"])
            {
                foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory, name))
                    File.Copy(file, Path.Combine(folder.FullName, Path.GetFileName(file)));
            }

            var result = await SessionProcess.RunAsync("sum --ranks 2", folder: folder.FullName);

            Assert.Equal((1, ""), (result.ExitCode, result.Output));
            var message = Assert.Single(result.ErrorLines);
            Assert.StartsWith("libtorch is not installed: ", message, StringComparison.Ordinal);
            Assert.Contains("Add the package libtorch-cpu-linux-x64 2.10.0", message, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void RequireConsequence(SessionResult result, string what, int[] ranks) => Assert.All(ranks, rank =>
    {
        var lines = result.ErrorLinesOf(rank);
        Assert.Equal(2, lines.Length);
        Assert.Matches($"^{what}$", lines[0]);
        Assert.Matches($"^  Rank {rank} {InAllReduce}", lines[1]);
    });
}
