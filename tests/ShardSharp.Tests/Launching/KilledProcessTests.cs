using System.Globalization;

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
        var moments = Enum.GetValues<KillMoment>();
        var kills = Setting("STRESS_KILLS") ?? moments.Length;
        var seed = Setting("STRESS_SEED") ?? Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < kills; i++)
        {
            var trial = KillTrial.Draw(random, moments[i % moments.Length]);
            var (killed, time, result) = await trial.KillRankAsync();
            var circumstances = $"{trial}, process {killed}, {time.TotalSeconds:F3} s, exit code {result.ExitCode}, seed {seed}";
            TestContext.Current.TestOutputHelper!.WriteLine(circumstances);
            Assert.True(time < Bound, $"{circumstances}\n{result.Error}");
            if (trial.Moment == KillMoment.Exiting && result is { ExitCode: 0, Error: "" })
                continue; // It was gone before it could be killed.
            Assert.True(result.ExitCode == 137, $"{circumstances}\n{result.Error}");
            Assert.Matches($@"^rank \d \(pid {killed}\) was killed by SIGKILL ", result.LauncherLines[0]);
        }
    }

    private static int? Setting(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}

/// <summary>Tests that measure time; they run when no others do.</summary>
[CollectionDefinition(nameof(Undisturbed), DisableParallelization = true)]
public sealed class Undisturbed;
