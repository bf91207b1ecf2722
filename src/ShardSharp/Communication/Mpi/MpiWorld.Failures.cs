using System.Diagnostics;
using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

internal sealed partial class MpiWorld
{
    /// <summary>How long a report waits for silent ranks. It takes some milliseconds, unless the machine is busy.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>The same once a rank has gone: launchers that end a job leave a second between asking its processes and killing them.</summary>
    private static readonly TimeSpan PatienceOfLaunchers = TimeSpan.FromMilliseconds(600);

    private readonly Notices _notices;
    private readonly FlightExchange _flights;
    private readonly Lock _speaking = new();
    private bool _hasSpoken;
    private bool _failedFirst;
    private volatile bool _toldToEnd;

    /// <inheritdoc/>
    public string? FirstFailure => _notices.FirstFailure ?? Host?.Roster.FirstFailure;

    /// <inheritdoc/>
    public bool OtherFailedFirst => HasFailed && !_failedFirst;

    /// <summary>Whether this or another rank has failed.</summary>
    public bool HasFailed => FirstFailure is not null;

    /// <inheritdoc/>
    public void Fail(string message)
    {
        _failedFirst |= FirstFailure is null;
        Host?.Roster.Fail(message);
        _notices.Tell(RankStanding.Failed, message);
    }

    /// <inheritdoc/>
    public void Break(string message)
    {
        // Of the ranks of a host one speaks, while the others stay where they are.
        if (Host is { } host)
            host.Roster.Break(message);
        else
            Speak(message);
    }

    /// <summary>Takes in what other ranks tell, and passes it on to those of this host that wait in shared memory.</summary>
    private void Listen()
    {
        _notices.Receive();
        if (_notices.Reporter is { } reporter)
        {
            if (reporter != Communicator.Rank)
                Break(_notices.FirstFailure!);
            _flights.Answer(reporter);
        }
        else if (_notices.FirstFailure is { } failure)
        {
            Host?.Roster.Fail(failure);
        }
    }

    /// <summary>Tells the other hosts what broke, or answers the one that told this host; only the first call does anything.</summary>
    private void Speak(string message)
    {
        lock (_speaking)
        {
            if (_hasSpoken)
                return;
            _hasSpoken = true;
            _flights.Offer(FlightsHere());
            _notices.Receive();
            if (_notices.FirstFailure is null)
            {
                _notices.Tell(RankStanding.Asking, message);
                Report(message);
            }

            if (_notices.Reporter is { } reporter)
                _flights.Answer(reporter);
        }
    }

    private void Report(string cause)
    {
        var misses = Enumerable.Range(0, Communicator.Size).Any(rank => WhyGone(rank) is not null);
        var flights = _flights.Collect(() => misses || _toldToEnd ? PatienceOfLaunchers : Patience, turn =>
        {
            _notices.Receive();
            Pause(turn);
            return _notices.Reporter == Communicator.Rank;
        });
        if (flights is null)
            return;
        _failedFirst = true;
        _terms.Report?.Invoke(new FailureReport(cause, Communicator.Rank, flights, Stopwatch.GetTimestamp()) { Hosts = HostNames });
    }

    /// <summary>What the ranks of this host recorded, as far as this one can see it.</summary>
    private IEnumerable<(int Rank, string? Gone, FlightLog Log)> FlightsHere() =>
        Host?.FlightLogs() ?? [(Communicator.Rank, WhyGone(Communicator.Rank), Group.Recorder.Log)];

    /// <inheritdoc/>
    public string? WhyGone(int rank) => _notices.Of(rank) == RankStanding.Finished ? "has finished its program" : Host?.WhyDead(rank);

    private void ThrowIfHopeless(ref nint request, in PendingWait wait, TimeSpan waited)
    {
        Listen();
        if (FirstFailure is { } failure)
        {
            Host?.Roster.Fail(failure);
            throw new RankFailedException($"{failure}{Environment.NewLine}  {wait.Describe()}");
        }

        // A rank's last message may have arrived together with the news that it has ended.
        var awaited = wait.AwaitedGlobalRank;
        if (WhyGone(awaited) is { } gone && !Communicator.Test(ref request))
        {
            var discovery = $"Rank {awaited} {gone}, but other ranks still need it.";
            Break(discovery);
            throw new RankFailedException($"{FirstFailure ?? discovery}{Environment.NewLine}  {wait.Describe()}");
        }

        if (waited <= _terms.CollectiveTimeout)
            return;
        var message = $"Rank {wait.GlobalRank} waited {waited.TotalSeconds:F0} s, past the deadline (collective_timeout_seconds = "
            + $"{_terms.CollectiveTimeout.TotalSeconds:F0}).{Environment.NewLine}  {wait.Describe()}";
        Break(message);
        throw new CollectiveTimeoutException(message);
    }
}
