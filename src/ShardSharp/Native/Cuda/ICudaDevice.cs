namespace ShardSharp.Native;

/// <summary>One GPU: its streams, events and memory, and where libtorch queues its work. Every method can be called from any thread.</summary>
internal unsafe interface ICudaDevice
{
    /// <summary>Number of the device in this process, as in <c>cuda:0</c>.</summary>
    int Index { get; }

    /// <summary>What tells the device from all others of all hosts.</summary>
    string Identity { get; }

    /// <summary>The stream to which libtorch gives the work of the calling thread.</summary>
    nint CurrentStream { get; }

    /// <summary>
    /// Has libtorch give the work of the calling thread to another stream until the result is disposed; meanwhile the device is the
    /// thread's current one for everybody.
    /// </summary>
    IDisposable Redirect(nint stream);

    /// <summary>Creates a stream that runs independently of all others.</summary>
    nint CreateStream();

    /// <summary>Gives a stream up; what is queued there still runs.</summary>
    void DestroyStream(nint stream);

    /// <summary>Creates an event, for order and not for time.</summary>
    nint CreateEvent();

    /// <summary>Gives an event up; waits that were queued for it stay.</summary>
    void DestroyEvent(nint mark);

    /// <summary>Has the event happen when all that is queued in the stream by now is done.</summary>
    void Record(nint mark, nint stream);

    /// <summary>Has what is queued in the stream from now on wait until the event has happened.</summary>
    void Wait(nint stream, nint mark);

    /// <summary>Whether the event has happened.</summary>
    bool IsDone(nint mark);

    /// <summary>Blocks the calling thread until the event has happened.</summary>
    void Synchronize(nint mark);

    /// <summary>Queues a copy of memory, between host and device in either direction or within the device.</summary>
    void Copy(byte* destination, byte* source, long bytes, nint stream);

    /// <summary>Host memory that the device copies to and from by itself.</summary>
    byte* AllocatePinned(long bytes);

    /// <summary>Frees it; no copy may be queued.</summary>
    void FreePinned(byte* memory);
}
