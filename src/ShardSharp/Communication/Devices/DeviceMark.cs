using ShardSharp.Native;

namespace ShardSharp.Communication;

/// <summary>A point in the order of a thread's work on a GPU.</summary>
internal sealed class DeviceMark : IDisposable
{
    private DeviceMark(ICudaDevice device, nint mark) => (Device, Event) = (device, mark);

    public ICudaDevice Device { get; }

    /// <summary>Happens when all work that the thread had queued before is done.</summary>
    public nint Event { get; }

    /// <summary>Marks what the calling thread has queued so far.</summary>
    public static DeviceMark Record(ICudaDevice device)
    {
        var mark = new DeviceMark(device, device.CreateEvent());
        device.Record(mark.Event, device.CurrentStream);
        return mark;
    }

    public void Dispose() => Device.DestroyEvent(Event);
}
