using System.Threading.Channels;

namespace ShardSharp.Launching;

/// <summary>
/// Waits for the ranks of a launch, and ends all of them once one fails or the launcher is told to stop: first it gives the others time to
/// notice and report by themselves, then SIGTERM, then SIGKILL. Nothing here polls.
/// </summary>
/// <param name="ranks">The started ranks.</param>
/// <param name="grace">How long each step may take.</param>
/// <param name="signals">Signals to the launcher, by number. Each moves on to the next step; the first stands for the whole launch.</param>
internal sealed class RankSupervisor(IReadOnlyList<RankProcess> ranks, LaunchGrace grace, ChannelReader<int> signals)
{
    private readonly List<RankExit> _exits = [];
    private readonly List<Task<RankExit>> _running = [.. ranks.Select(rank => rank.Exit)];
    private Task<int> _signal = signals.ReadAsync().AsTask();

    /// <summary>Completes when no rank runs any more, or one withstands even SIGKILL.</summary>
    public async Task<LaunchOutcome> RunAsync()
    {
        var signal = await WaitAsync(Timeout.InfiniteTimeSpan, untilFailure: true).ConfigureAwait(false);
        var failed = signal is null && _exits.Exists(exit => !exit.Succeeded);
        if (failed)
            signal = await WaitAsync(grace.Report).ConfigureAwait(false);

        // Where no rank had been told to end, a failure is the rank's own.
        RankExit? cause = failed ? FirstCause(_exits) : null;
        if (signal is not null && cause?.Signal == signal)
            cause = null; // The terminal's Ctrl-C reached a rank before the launcher.

        await EndAsync(failed ? grace.TerminateFailed : grace.Terminate).ConfigureAwait(false);
        int[] unended = [.. ranks.Where(rank => !rank.Exit.IsCompleted).Select(rank => rank.Rank)];
        return new LaunchOutcome(ranks.Count, _exits, cause, cause is null ? signal : null, unended);
    }

    /// <summary>A rank that failed by itself comes before those that say they followed; else the first to end counts.</summary>
    private static RankExit FirstCause(List<RankExit> exits)
    {
        var failures = exits.FindAll(exit => !exit.Succeeded);
        var own = failures.FindIndex(exit => exit.ExitCode != ExitCodes.AnotherRankFailed);
        return failures[Math.Max(own, 0)];
    }

    private async Task EndAsync(TimeSpan patience)
    {
        Tell(rank => rank.Terminate());
        await WaitAsync(patience).ConfigureAwait(false);
        Tell(rank => rank.Kill());
        await WaitAsync(grace.Kill, untilSignal: false).ConfigureAwait(false);
    }

    private void Tell(Action<RankProcess> end)
    {
        foreach (var rank in ranks.Where(rank => _running.Contains(rank.Exit)))
            end(rank);
    }

    /// <summary>Waits until no rank runs, a signal comes, the time is up or, if asked, a rank fails.</summary>
    /// <returns>The signal, if it was that.</returns>
    private async Task<int?> WaitAsync(TimeSpan limit, bool untilFailure = false, bool untilSignal = true)
    {
        using var timer = new CancellationTokenSource();
        timer.CancelAfter(limit);
        var time = Task.Delay(Timeout.Infinite, timer.Token);
        while (_running.Count > 0)
        {
            var done = await Task.WhenAny([.. _running, .. untilSignal ? [_signal] : Array.Empty<Task>(), time]).ConfigureAwait(false);
            if (done == _signal)
            {
                var signal = await _signal.ConfigureAwait(false);
                _signal = signals.ReadAsync().AsTask();
                return signal;
            }

            if (done is not Task<RankExit> ended)
                return null;
            _running.Remove(ended);
            var exit = await ended.ConfigureAwait(false);
            _exits.Add(exit);
            if (untilFailure && !exit.Succeeded)
                return null;
        }

        return null;
    }
}
