using System.Diagnostics;

namespace ShardSharp.Communication.Mpi;

internal sealed partial class MpiWorld
{
    /// <summary>How long a rank that failed waits for the others' reports before it ends the job.</summary>
    private static readonly TimeSpan ReportGrace = TimeSpan.FromSeconds(2);

    /// <summary>How soon a rank that computes takes in what others tell.</summary>
    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(50);

    /// <summary>How long the library may take to end, when no rank has anything left to say.</summary>
    private static readonly TimeSpan LongestEnd = TimeSpan.FromSeconds(5);

    private readonly ManualResetEventSlim _ended = new();
    private readonly Lock _listening = new();
    private Thread? _listener;

    /// <summary>Says where all ranks are, when the launcher tells this one to end (SIGTERM): what it does where another rank has died.</summary>
    /// <param name="tell">Told what happened, if this rank makes the report.</param>
    public void ToldToEnd(Action<string> tell)
    {
        string? cause = null;
        lock (_listening)
        {
            _toldToEnd = true;
            if (!_ended.IsSet && !HasFailed)
                Break(cause = Host?.FirstDead() ?? $"Rank {Communicator.Rank} was told to end (SIGTERM): its launcher ends the job.");
        }

        if (cause is not null && _failedFirst)
        {
            tell(cause);
            _notices.Tell(RankStanding.Reported, cause);
        }

        // Once a first process has ended, launchers kill the others at once: stay until the report is made.
        SpinWait.SpinUntil(IsReported, ReportGrace / 2);
    }

    /// <summary>Ends this rank's part in the job once its program has returned or thrown and all has been printed.</summary>
    /// <param name="exitCode">How the program ended: 0 is well.</param>
    /// <remarks>Does not return where this or another rank failed: then the job is aborted, so that nothing hangs.</remarks>
    public void End(int exitCode)
    {
        // A report that is being made comes first.
        lock (_speaking)
            _ended.Set();
        _listener?.Join();
        _notices.Tell(exitCode == 0 ? RankStanding.Finished : RankStanding.Reported, $"Rank {Communicator.Rank} failed.");
        long? failed = null;
        for (var i = 0; !_notices.AllSaid; i++)
        {
            // The others may compute for days before they finish; after a failure, though, they soon notice, or never.
            if (HasFailed && Stopwatch.GetElapsedTime(failed ??= Stopwatch.GetTimestamp()) > ReportGrace)
                break;
            Listen();
            Pause(i);
        }

        if (HasFailed)
            Communicator.Abort(exitCode == 0 ? 1 : exitCode);
        Dispose();

        // All ranks know that all have ended. Some libraries do not always find the end all the same: MPICH 4.0 over UCX and TCP waits for
        // answers of ranks that wait for it.
        using var patience = new Timer(_ => Environment.Exit(exitCode), null, LongestEnd, Timeout.InfiniteTimeSpan);
        Communicator.End();
    }

    /// <summary>Leaves the memory of this host, when the last group that uses it goes.</summary>
    public void LeaveHost()
    {
        lock (_listening)
        {
            Host?.Group.Dispose();
            Host = null;
        }
    }

    public void Dispose() => _notices.Dispose();

    private bool IsReported()
    {
        lock (_listening)
        {
            if (!_ended.IsSet)
                Listen();
        }

        return _notices.Reporter is not { } reporter || _notices.Of(reporter) == RankStanding.Reported;
    }

    /// <summary>Listens for a rank that computes, or waits in shared memory, so that it answers all the same.</summary>
    private void StartListening()
    {
        _listener = new Thread(ListenUntilEnded) { IsBackground = true, Name = $"rank {Communicator.Rank} listener" };
        _listener.Start();
    }

    private void ListenUntilEnded()
    {
        while (!_ended.Wait(Nap))
        {
            try
            {
                lock (_listening)
                    Listen();
            }
            catch (Native.MpiException)
            {
                // The rank itself meets the same error when it communicates next, and reports it.
                return;
            }
        }
    }
}
