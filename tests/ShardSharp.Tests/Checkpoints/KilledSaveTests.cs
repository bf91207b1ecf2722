using System.Globalization;
using System.Text.RegularExpressions;
using ShardSharp.Checkpoints;
using ShardSharp.Native;
using ShardSharp.Tests.Launching;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>
/// Trainings that are killed while they save: what was saved before is there, and all that is to be seen is complete.
/// STRESS_CHECKPOINT_KILLS says how many are killed, STRESS_SEED repeats a run (docs/testing.md).
/// </summary>
[Collection(nameof(Undisturbed))]
public sealed partial class KilledSaveTests
{
    private const int Deadline = 1_200_000;

    [Fact(Timeout = Deadline)]
    public async Task Nothing_that_was_saved_is_lost_and_nothing_half_saved_is_seen()
    {
        var seed = Setting("STRESS_SEED") ?? Random.Shared.Next();
        var random = new Random(seed);
        using var folder = new TemporaryFolder();
        var last = 0;
        for (var i = 0; i < (Setting("STRESS_CHECKPOINT_KILLS") ?? 3); i++)
        {
            var ranks = 1 + random.Next(3);
            using var run = new SessionProcess($"checkpoint {folder.Path} 1000000 --ranks {ranks} {Shardings[random.Next(ranks == 1 ? 1 : Shardings.Length)]}");
            var circumstances = $"seed {seed}, kill {i}, {ranks} ranks";
            while (NewestStep(folder) <= last)
            {
                Assert.False(run.Result.IsCompleted, $"{circumstances}: {(run.Result.IsCompleted ? (await run.Result).Error : "")}");
                await Task.Delay(5, TestContext.Current.CancellationToken);
            }

            await Task.Delay(random.Next(150), TestContext.Current.CancellationToken);
            var victims = run.Processes;
            HostPlatform.Current.Kill(victims[random.Next(victims.Count)]);
            var result = await run.Result;
            while (run.Processes.Count > 0)
                await Task.Delay(1, TestContext.Current.CancellationToken);

            var told = SavedLine().Matches(result.Output).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)).DefaultIfEmpty(0).Max();
            var newest = NewestStep(folder);
            Assert.True(newest >= Math.Max(told, last), $"{circumstances}: step {told} was saved, and the newest checkpoint is of step {newest}");
            Assert.All(new CheckpointFolder(folder.Path).Tags(partial: true), tag => RequireComplete(folder[$"{tag}_partial"], circumstances));
            last = newest;
        }
    }

    [Fact(Timeout = Deadline)]
    public async Task A_run_that_loses_a_rank_starts_again_where_it_was_and_ends_with_the_same_bits()
    {
        using var folder = new TemporaryFolder();
        var straight = await SessionProcess.RunAsync($"checkpoint {folder["straight"]} 8 --ranks 2 --set shard_optimizer_state=true");
        var resumed = await SessionProcess.RunAsync(
            $"checkpoint {folder["resumed"]} 8 die --ranks 2 --set shard_optimizer_state=true --set max_restarts=1");

        Assert.True(resumed.ExitCode == 0, resumed.Error);
        Assert.Contains("begins after step 0, restart 0", resumed.Output, StringComparison.Ordinal);
        Assert.Contains("begins after step 5, restart 1", resumed.Output, StringComparison.Ordinal);
        Assert.NotEmpty(Bits().Match(straight.Output).Value);
        Assert.Equal(Bits().Match(straight.Output).Value, Bits().Match(resumed.Output).Value);
        Assert.Equal(["newest", "step-7_partial", "step-8_partial"], Directory.EnumerateFileSystemEntries(folder["resumed"]).Select(path => Path.GetFileName(path)).Order());
    }

    private static string[] Shardings { get; } =
        ["--set bucket_cap_mb=25", "--set shard_optimizer_state=true", "--set shard_optimizer_state=true"];

    private static int NewestStep(TemporaryFolder folder) => new CheckpointFolder(folder.Path).Newest(partial: true) is { } tag
        ? int.Parse(tag["step-".Length..], CultureInfo.InvariantCulture)
        : 0;

    private static void RequireComplete(string checkpoint, string circumstances)
    {
        using var reader = CheckpointReader.Open(checkpoint);
        Assert.True(reader.Verify().FirstOrDefault() is null, $"{circumstances}: {reader.Verify().FirstOrDefault()}");
        Assert.Equal(4, reader.Index.Tensors.Count(tensor => tensor.Name.StartsWith("model/", StringComparison.Ordinal)));
    }

    private static int? Setting(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    [GeneratedRegex(@"saved (\d+)\n")]
    private static partial Regex SavedLine();

    [GeneratedRegex(@"bits: -?\d+")]
    private static partial Regex Bits();
}
