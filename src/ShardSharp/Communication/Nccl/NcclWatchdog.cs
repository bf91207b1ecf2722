namespace ShardSharp.Communication.Nccl;

/// <summary>Looks after what a rank has queued on its GPU: tells when it is done, and ends it when it never will be.</summary>
internal sealed class NcclWatchdog(NcclWorld world) : IDisposable
{
    /// <summary>How soon it notices that an operation is done.</summary>
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(1);

    private readonly List<DeviceWork> _works = [];
    private Thread? _thread;
    private bool _disposed;

    /// <summary>Looks after an operation from now on.</summary>
    public void Watch(DeviceWork work)
    {
        lock (_works)
        {
            _works.Add(work);
            Monitor.PulseAll(_works);
            if (_thread is not null)
                return;
            _thread = new Thread(Run) { IsBackground = true, Name = $"NCCL watchdog of rank {world.Rank}" };
            _thread.Start();
        }
    }

    /// <summary>Returns when no operation of a line is left, which is at its deadline at the latest.</summary>
    public void Drain(NcclLine line)
    {
        lock (_works)
        {
            while (_works.Any(work => work.Line == line))
                Monitor.Wait(_works);
        }
    }

    /// <summary>Ends it, when no operation is left.</summary>
    public void Dispose()
    {
        lock (_works)
        {
            _disposed = true;
            Monitor.PulseAll(_works);
        }

        _thread?.Join();
    }

    private void Run()
    {
        while (Next() is { } works)
        {
            foreach (var work in works)
            {
                if (!TryEnd(work))
                    continue;
                lock (_works)
                {
                    _works.Remove(work);
                    Monitor.PulseAll(_works);
                }
            }
        }
    }

    /// <summary>What is to be looked at after a short while; null when it is over.</summary>
    private DeviceWork[]? Next()
    {
        lock (_works)
        {
            if (_works.Count > 0)
                Monitor.Wait(_works, Period);
            while (_works.Count == 0 && !_disposed)
                Monitor.Wait(_works);
            return _works.Count == 0 ? null : [.. _works];
        }
    }

    private bool TryEnd(DeviceWork work)
    {
        try
        {
            // In this order: what is given up looks done as well.
            var isDone = work.IsDone && work.SinceAgreement is not null;
            if (world.Failure is null)
            {
                if (isDone)
                {
                    work.Complete();
                    return true;
                }

                work.Line!.RequireHealth();
                world.ThrowIfHopeless(work.Description, work.SinceAgreement ?? TimeSpan.Zero);
                return false;
            }
        }
        catch (Exception failure)
        {
            world.Fail(failure);
        }

        work.Fail(world.Failure!);
        return true;
    }
}
