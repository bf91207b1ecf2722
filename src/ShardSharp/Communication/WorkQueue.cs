using System.Collections.Concurrent;

namespace ShardSharp.Communication;

/// <summary>Runs operations one after another, in the order they were asked for, on a background thread of its own.</summary>
internal sealed class WorkQueue(string name) : IDisposable
{
    private readonly BlockingCollection<(Work Work, Action Operation)> _pending = [];
    private readonly Lock _starting = new();
    private Thread? _thread;
    private int _unfinished;

    /// <summary>Whether everything asked for so far has completed, so that the caller may run an operation itself without overtaking one.</summary>
    public bool IsIdle => Volatile.Read(ref _unfinished) == 0;

    public Work Enqueue(Action operation)
    {
        Start();
        var work = new Work();
        Interlocked.Increment(ref _unfinished);
        _pending.Add((work, operation));
        return work;
    }

    /// <summary>Lets what is queued end, then ends the thread.</summary>
    public void Dispose()
    {
        _pending.CompleteAdding();
        _thread?.Join();
        _pending.Dispose();
    }

    private void Start()
    {
        if (_thread is not null)
            return;
        lock (_starting)
        {
            if (_thread is not null)
                return;
            var thread = new Thread(RunAll) { IsBackground = true, Name = name };
            thread.Start();
            _thread = thread;
        }
    }

    private void RunAll()
    {
        foreach (var (work, operation) in _pending.GetConsumingEnumerable())
        {
            work.Run(() =>
            {
                try
                {
                    operation();
                }
                finally
                {
                    // Before the handle completes, so that whoever waited for it finds the queue idle.
                    Interlocked.Decrement(ref _unfinished);
                }
            });
        }
    }
}
