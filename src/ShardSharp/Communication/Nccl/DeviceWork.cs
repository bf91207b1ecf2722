using System.Diagnostics;

namespace ShardSharp.Communication.Nccl;

/// <summary>An operation on a GPU from the call to the moment when the GPU is done with it.</summary>
internal sealed unsafe class DeviceWork
{
    private readonly Lock _lock = new();
    private readonly NcclWorld _world;
    private readonly TaskCompletionSource _queued = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TensorLease _first;
    private readonly TensorLease _second;
    private GroupRecording? _recording;
    private RecordedCall* _record;
    private nint _end;

    /// <summary>The operation itself until its end, and who has the GPU wait for it at the moment.</summary>
    private int _eventUsers = 1;
    private bool _hasEnded;
    private long _agreed;

    /// <param name="world">The run that the rank takes part in.</param>
    /// <param name="description">The operation in words, with its group and its place in the program.</param>
    /// <param name="first">Tensors to keep until the end, owned from now on.</param>
    /// <param name="second">More of them.</param>
    public DeviceWork(NcclWorld world, string description, TensorLease first, TensorLease second)
    {
        (_world, Description, _first, _second) = (world, description, first, second);
        Work = new Work(OrderCurrentStream);
    }

    public string Description { get; }

    /// <summary>What the program holds.</summary>
    public Work Work { get; }

    /// <summary>Where it runs, once it is queued.</summary>
    public NcclLine? Line { get; private set; }

    /// <summary>Since when all ranks are known to have called it; null while they are not.</summary>
    public TimeSpan? SinceAgreement => Volatile.Read(ref _agreed) is var agreed and not 0 ? Stopwatch.GetElapsedTime(agreed) : null;

    /// <summary>Whether the GPU is done with it.</summary>
    public bool IsDone => _world.Device.IsDone(_end);

    /// <summary>Has the flight recorder note that it has begun.</summary>
    /// <returns>Its position among the operations of its kind.</returns>
    public long Record(GroupRecording recording, in CollectiveCall call)
    {
        lock (_lock)
        {
            _recording = recording;
            _record = recording.Begin(call);
            if (_hasEnded)
                recording.End(_record, FlightState.Failed);
            return _record->Sequence;
        }
    }

    /// <summary>Notes that all ranks called the same.</summary>
    public void Agreed() => Volatile.Write(ref _agreed, Stopwatch.GetTimestamp());

    /// <summary>Notes that it is queued, and everything else that belongs to it before its end.</summary>
    public void Queued(NcclLine line)
    {
        if (_first.NeedsWriteBack || _second.NeedsWriteBack)
        {
            using var _ = _world.Device.Redirect(line.Stream);
            _first.WriteBack();
            _second.WriteBack();
        }

        _end = _world.Device.CreateEvent();
        _world.Device.Record(_end, line.Stream);
        Line = line;
        _world.Watchdog.Watch(this);
        _queued.SetResult();
    }

    /// <summary>Has the calling thread's work on the GPU wait for it; the thread itself waits only until it is queued.</summary>
    public void OrderCurrentStream()
    {
        _queued.Task.Wait();
        if (TryUseEvent())
        {
            _world.Device.Wait(_world.Device.CurrentStream, _end);
            ReleaseEvent();
        }

        _world.ThrowToProgram();
    }

    /// <summary>Notes that it has ended well.</summary>
    public void Complete()
    {
        End(FlightState.Completed);
        Work.Complete();
    }

    /// <summary>Notes that it failed, whether it was queued or not.</summary>
    public void Fail(Exception failure)
    {
        End(FlightState.Failed);
        Work.Fail(failure);
        _queued.TrySetResult();
    }

    private bool TryUseEvent()
    {
        lock (_lock)
        {
            _eventUsers += _hasEnded ? 0 : 1;
            return !_hasEnded;
        }
    }

    private void ReleaseEvent()
    {
        lock (_lock)
        {
            if (--_eventUsers == 0)
                _world.Device.DestroyEvent(_end);
        }
    }

    private void End(FlightState state)
    {
        lock (_lock)
        {
            _hasEnded = true;
            _recording?.End(_record, state);
        }

        if (Line is not null)
            ReleaseEvent();

        _first.Release();
        _second.Release();
    }
}
