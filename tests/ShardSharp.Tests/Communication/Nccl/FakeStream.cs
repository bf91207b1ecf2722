using System.Collections.Concurrent;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>A GPU's stream as a thread: what is queued runs later, in order.</summary>
internal sealed class FakeStream : IDisposable
{
    private readonly BlockingCollection<Action> _queue = [];
    private readonly Thread _thread;

    public FakeStream()
    {
        _thread = new Thread(() =>
        {
            foreach (var work in _queue.GetConsumingEnumerable())
                work();
        })
        { IsBackground = true };
        _thread.Start();
    }

    public void Queue(Action work) => _queue.Add(work);

    /// <summary>Waits for all that is queued.</summary>
    public void Drain()
    {
        using var done = new ManualResetEventSlim();
        Queue(done.Set);
        done.Wait();
    }

    public void Dispose()
    {
        _queue.CompleteAdding();
        _thread.Join();
        _queue.Dispose();
    }
}
