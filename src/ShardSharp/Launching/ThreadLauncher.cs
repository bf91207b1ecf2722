using System.Diagnostics;
using ShardSharp.Communication;

namespace ShardSharp.Launching;

/// <summary>Runs all ranks of one job as threads of this process: one debugger sees them all, on every system.</summary>
internal sealed class ThreadLauncher
{
    /// <summary>Deep module trees recurse; the system's default for threads other than the first can be far less.</summary>
    private const int StackSize = 16 << 20;

    /// <summary>How many ranks, at least 1.</summary>
    public required int Ranks { get; init; }

    /// <summary>Puts the rank before what its thread writes; null leaves the console alone.</summary>
    public RankOutput? Output { get; init; }

    /// <summary>
    /// Called as soon as a rank throws, before its finally blocks run, so that neither they nor the other ranks wait for it in vain. Must
    /// not throw; may be called by several threads at once.
    /// </summary>
    public Action<RankFailure>? RankFailed { get; init; }

    /// <summary>
    /// Whether the first failure stays unhandled, so that a debugger stops at the user's throw with the stack as it was.
    /// <value>Default: while a debugger is attached.</value>
    /// </summary>
    public bool LeaveFailureToDebugger { get; init; } = Debugger.IsAttached;

    /// <summary>After a failure, how long the other ranks may take to end. <value>Default: 10 s.</value></summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Runs the work once for each rank, each on its own thread, and returns when all have ended or one has failed.</summary>
    public ThreadLaunchOutcome Run(Action<int> work)
    {
        var failures = new List<RankFailure>();
        var failed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource[] ended = [.. Enumerable.Range(0, Ranks).Select(_ => new TaskCompletionSource())];
        for (var rank = 0; rank < Ranks; rank++)
            Start(rank);

        var all = Task.WhenAll(ended.Select(rank => rank.Task));
        if (Task.WaitAny(all, failed.Task) != 0)
            all.Wait(Grace);
        int[] unended = [.. Enumerable.Range(0, Ranks).Where(rank => !ended[rank].Task.IsCompleted)];
        lock (failures)
            return new ThreadLaunchOutcome([.. failures.OrderBy(failure => FailureText.CommunicationFailure(failure.Exception) is RankFailedException)], unended);

        // A background thread does not keep the process from ending should its rank never do.
        void Start(int rank) => new Thread(() => RunRank(rank), StackSize) { Name = $"rank {rank}", IsBackground = true }.Start();

        void RunRank(int rank)
        {
            try
            {
                using var output = Output?.Enter(rank);
                work(rank);
            }
            catch (Exception exception) when (Catches(new RankFailure(rank, exception)))
            {
                // The filter has kept it.
            }
            finally
            {
                ended[rank].SetResult();
            }
        }

        // As a filter this runs while the stack still stands.
        bool Catches(RankFailure failure)
        {
            bool isFirst;
            lock (failures)
            {
                isFirst = failures.Count == 0;
                failures.Add(failure);
            }

            RankFailed?.Invoke(failure);
            failed.TrySetResult();
            return !(isFirst && LeaveFailureToDebugger);
        }
    }
}
