using System.Diagnostics;
using System.Globalization;
using ShardSharp.Native;
using ShardSharp.Tests.Communication.Mpi;

namespace ShardSharp.Tests.Launching;

/// <summary>
/// A rank or launcher that is killed, whatever the ranks are at, ends the run soon and leaves nothing behind. STRESS_KILLS says how many
/// are killed (one for each moment unless set), STRESS_SEED repeats a run (docs/testing.md).
/// </summary>
[Collection(nameof(Undisturbed))]
public sealed class KilledProcessTests
{
    private const int Deadline = 600_000;

    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(2);

    [Fact(Timeout = Deadline)]
    public async Task A_killed_rank_ends_the_run_within_two_seconds()
    {
        var kills = Setting("STRESS_KILLS") ?? Moments.Length;
        var seed = Setting("STRESS_SEED") ?? Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < kills; i++)
        {
            var trial = KillTrial.Draw(random, Moments[i % Moments.Length]);
            var (killed, time, result) = await trial.KillRankAsync();
            var circumstances = $"{trial}, process {killed}, {time.TotalSeconds:F3} s, exit code {result.ExitCode}, seed {seed}";
            TestContext.Current.TestOutputHelper!.WriteLine(circumstances);
            Assert.True(time < Bound, $"{circumstances}\n{result.Error}");
            if (trial.Moment == KillMoment.Exiting && result is { ExitCode: 0, Error: "" })
                continue; // It was gone before it could be killed.
            Assert.True(result.ExitCode == 137, $"{circumstances}\n{result.Error}");
            Assert.Matches($@"^rank \d \(pid {killed}\) was killed by SIGKILL ", result.LauncherLines[0]);

            // Whoever waits says why it ends, whichever rank it waits for.
            if (trial.Moment is KillMoment.Collective or KillMoment.Training || (trial.Moment == KillMoment.Asleep && trial.Ranks > 2))
                Assert.Matches($@"Rank \d \(process {killed}\) has died, but other ranks still need it\.", result.Error);
        }
    }

    [Fact(Timeout = Deadline)]
    public async Task Ranks_end_with_a_killed_launcher_within_two_seconds()
    {
        var seed = Setting("STRESS_SEED") ?? Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < Setting("STRESS_KILLS").GetValueOrDefault(2); i++)
        {
            var trial = KillTrial.Draw(random, Moments[random.Next(Moments.Length)]);
            var time = await trial.KillLauncherAsync();
            var circumstances = $"{trial}, {time.TotalSeconds:F3} s, seed {seed}";
            TestContext.Current.TestOutputHelper!.WriteLine(circumstances);
            Assert.True(time < Bound, circumstances);
        }
    }

    [Theory(Timeout = Deadline)]
    [InlineData("mpirun.openmpi", false)]
    [InlineData("mpirun.openmpi", true)]
    [InlineData("mpirun.mpich", false)]
    [InlineData("mpirun.mpich", true)]
    public async Task An_MPI_job_ends_with_a_killed_rank_or_launcher_within_two_seconds(string name, bool killsLauncher)
    {
        using var meeting = new Meeting();
        using var launcher = MpiJob.Start(name, 3, ["mpi-victim", meeting.Path]);
        var (output, error) = (launcher.StandardOutput.ReadToEndAsync(Stop), launcher.StandardError.ReadToEndAsync(Stop));
        var ranks = await meeting.AcceptAsync(3);

        var killed = Stopwatch.GetTimestamp();
        HostPlatform.Current.Kill(killsLauncher ? launcher.Id : ranks[1]);
        await launcher.WaitForExitAsync(Stop);
        await meeting.AllGoneAsync();
        var time = Stopwatch.GetElapsedTime(killed);

        TestContext.Current.TestOutputHelper!.WriteLine($"{time.TotalSeconds:F3} s, exit code {launcher.ExitCode}\n{await output}{await error}");
        Assert.True(time < Bound, $"{time}");
        Assert.NotEqual(0, launcher.ExitCode);
    }

    private static KillMoment[] Moments { get; } = Enum.GetValues<KillMoment>();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static int? Setting(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}

/// <summary>Tests that measure time; they run when no others do.</summary>
[CollectionDefinition(nameof(Undisturbed), DisableParallelization = true)]
public sealed class Undisturbed;
