using System.Diagnostics;
using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

internal sealed partial class MpiWorld
{
    /// <summary>How long a rank that failed waits for the others' reports before it ends the job.</summary>
    private static readonly TimeSpan ReportGrace = TimeSpan.FromSeconds(1);

    private readonly Notices _notices;
    private bool _failedFirst;

    /// <summary>Tells all ranks of a failure; only the first one counts.</summary>
    public void Fail(string message)
    {
        _failedFirst |= FirstFailure is null;
        Neighbours?.Fail(message);
        _notices.Tell(RankStanding.Failed, message);
    }

    /// <inheritdoc/>
    public void Break(string message) => Fail(message);

    /// <inheritdoc/>
    public string? WhyGone(int globalRank)
    {
        // Nobody else may be at it: what others say arrives only where someone listens.
        _notices.Receive();
        return _notices.Of(globalRank) == RankStanding.Finished ? "has finished its program" : null;
    }

    /// <summary>Where ranks of this host that wait in shared memory learn of failures; null if they have none.</summary>
    public RankRoster? Neighbours { get; set; }

    /// <inheritdoc/>
    public string? FirstFailure => _notices.FirstFailure;

    /// <inheritdoc/>
    public bool OtherFailedFirst => HasFailed && !_failedFirst;

    /// <summary>Whether this or another rank has failed.</summary>
    public bool HasFailed => FirstFailure is not null;

    /// <summary>Ends this rank's part in the job once its program has returned or thrown and all has been printed.</summary>
    /// <param name="exitCode">How the program ended: 0 is well.</param>
    /// <remarks>Does not return where this or another rank failed: then the job is aborted, so that nothing hangs.</remarks>
    public void End(int exitCode)
    {
        _notices.Tell(exitCode == 0 ? RankStanding.Finished : RankStanding.Reported, $"Rank {Communicator.Rank} failed.");
        long? failed = null;
        for (var i = 0; !_notices.AllSaid; i++)
        {
            // The others may compute for days before they finish; after a failure, though, they soon notice, or never.
            if (HasFailed && Stopwatch.GetElapsedTime(failed ??= Stopwatch.GetTimestamp()) > ReportGrace)
                break;
            _notices.Receive();
            Pause(i);
        }

        if (HasFailed)
            Communicator.Abort(exitCode == 0 ? 1 : exitCode);
        Dispose();
        Communicator.End();
    }

    public void Dispose() => _notices.Dispose();

    private void ThrowIfHopeless(ref nint request, in PendingWait wait, TimeSpan waited)
    {
        _notices.Receive();
        if (_notices.FirstFailure is { } failure)
        {
            Neighbours?.Fail(failure);
            throw new RankFailedException($"{failure}{Environment.NewLine}  {wait.Describe()}");
        }

        // A rank's last message may have arrived together with the news that it has finished.
        var awaited = wait.AwaitedGlobalRank;
        if (_notices.Of(awaited) == RankStanding.Finished && !Communicator.Test(ref request))
        {
            Fail($"Rank {awaited} has finished its program, but other ranks still need it.");
            throw new RankFailedException($"{_notices.FirstFailure}{Environment.NewLine}  {wait.Describe()}");
        }

        if (waited <= _terms.CollectiveTimeout)
            return;
        var message = $"Rank {wait.GlobalRank} waited {waited.TotalSeconds:F0} s, past the deadline (collective_timeout_seconds = "
            + $"{_terms.CollectiveTimeout.TotalSeconds:F0}).{Environment.NewLine}  {wait.Describe()}";
        Fail(message);
        throw new CollectiveTimeoutException(message);
    }
}
