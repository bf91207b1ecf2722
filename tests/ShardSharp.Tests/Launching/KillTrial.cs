using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Tests.Launching;

/// <summary>What the ranks of a run are at when something is killed.</summary>
internal enum KillMoment
{
    /// <summary>.NET starts in them, or has not even started.</summary>
    Start,

    /// <summary>They wait for one another to come.</summary>
    Rendezvous,

    /// <summary>They communicate all the time.</summary>
    Collective,

    /// <summary>They compute and do not communicate.</summary>
    Computing,

    /// <summary>They compute and communicate in turn.</summary>
    Training,

    /// <summary>They sleep until one of them comes, which does not.</summary>
    Asleep,

    /// <summary>Their programs have returned.</summary>
    Exiting,
}

/// <summary>A real run of which one process is killed at some moment.</summary>
/// <param name="Ranks">How many ranks it has.</param>
/// <param name="Moment">What they are at.</param>
/// <param name="Delay">How long after they have come so far.</param>
/// <param name="Choice">Which of them is killed, from 0 to 1.</param>
internal sealed record KillTrial(int Ranks, KillMoment Moment, TimeSpan Delay, double Choice)
{
    public static KillTrial Draw(Random random, KillMoment moment)
    {
        // A rank takes some 0.3 s to start and some 0.03 s to exit.
        var longest = moment switch
        {
            KillMoment.Start => 500,
            KillMoment.Exiting => 50,
            _ => 200,
        };
        return new KillTrial(random.Next(2, 5), moment, TimeSpan.FromMilliseconds(longest * random.NextDouble()), random.NextDouble());
    }

    /// <summary>Kills a rank.</summary>
    /// <returns>The process that was killed, the time from then to the launcher's exit, and what the launcher said.</returns>
    public async Task<(int Killed, TimeSpan Time, SessionResult Result)> KillRankAsync()
    {
        using var meeting = new Meeting();
        using var run = Start(meeting);
        var ranks = await RanksAsync(run, meeting);
        var victim = ranks[(int)(Choice * ranks.Count)];
        await Task.Delay(Delay, TestContext.Current.CancellationToken);

        var killed = Stopwatch.GetTimestamp();
        HostPlatform.Current.Kill(victim);
        var result = await run.Result;
        var time = Stopwatch.GetElapsedTime(killed);
        run.RequireNothingLeft();
        return (victim, time, result);
    }

    /// <summary>Kills the launcher.</summary>
    /// <returns>The time from then to the end of the last rank.</returns>
    public async Task<TimeSpan> KillLauncherAsync()
    {
        using var meeting = new Meeting();
        using var run = Start(meeting);
        await RanksAsync(run, meeting);
        await Task.Delay(Delay, TestContext.Current.CancellationToken);

        var killed = Stopwatch.GetTimestamp();
        HostPlatform.Current.Kill(run.Id);
        while (run.Processes.Count > 0)
            await Task.Delay(1, TestContext.Current.CancellationToken);
        return Stopwatch.GetElapsedTime(killed);
    }

    private SessionProcess Start(Meeting meeting) => new($"victim {meeting.Path} {Moment.ToString().ToLowerInvariant()} --ranks {Ranks}");

    /// <summary>Waits until the ranks have come as far as the moment is.</summary>
    private async Task<IReadOnlyList<int>> RanksAsync(SessionProcess run, Meeting meeting)
    {
        if (Moment != KillMoment.Start)
            return await meeting.AcceptAsync(Ranks);

        // Nobody tells that a rank begins to start.
        while (!run.Result.IsCompleted)
        {
            int[] ranks = [.. run.Processes.Where(process => process != run.Id)];
            if (ranks.Length > (int)(Choice * Ranks))
                return ranks;
        }

        throw new InvalidOperationException($"The run ended by itself: {(await run.Result).Error}");
    }
}
