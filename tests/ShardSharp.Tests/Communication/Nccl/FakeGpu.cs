using System.Runtime.InteropServices;
using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>A GPU whose memory is the host's, and a record of what it is asked to do.</summary>
/// <remarks>
/// libtorch's own work is done at once on the thread that asks for it, so a thread is its own current stream: having that wait for an event
/// blocks the thread. All other streams run on threads of their own.
/// </remarks>
internal sealed unsafe class FakeGpu : ICudaDevices, ICudaDevice, IDisposable
{
    private const nint Current = 1;

    private readonly Dictionary<nint, FakeStream> _streams = [];
    private readonly Dictionary<nint, TaskCompletionSource> _events = [];
    private readonly ThreadLocal<nint> _redirected = new(() => Current);
    private readonly List<string> _calls = [];
    private nint _lastHandle = Current;
    private int _pinned;
    private long _pinnedBytes;

    /// <summary>Which tensors are taken for ones on the GPU: all unless set.</summary>
    public Predicate<Tensor> Holds { get; init; } = _ => true;

    /// <summary>Bytes of pinned memory that the host has.</summary>
    public long PinnedLimit { get; set; } = long.MaxValue;

    /// <summary>What the GPU was asked to do, in order.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_calls)
                return [.. _calls];
        }
    }

    /// <summary>Streams, events and blocks of pinned memory that nobody has given up.</summary>
    public int Unreleased
    {
        get
        {
            lock (_events)
                return _streams.Count + _events.Count + _pinned;
        }
    }

    public int Index => 0;

    public string Identity { get; init; } = Guid.NewGuid().ToString();

    public nint CurrentStream => _redirected.Value;

    public int? IndexOf(Tensor tensor, DeviceType kind) => Holds(tensor) ? 0 : null;

    public ICudaDevice Open(int index) => this;

    /// <summary>Notes a call of a library that queues work here.</summary>
    public void Note(string call)
    {
        lock (_calls)
            _calls.Add(call);
    }

    /// <summary>Has work run in a stream.</summary>
    public void Queue(nint stream, Action work)
    {
        if (stream == Current)
        {
            work();
            return;
        }

        lock (_events)
            _streams[stream].Queue(work);
    }

    public IDisposable Redirect(nint stream)
    {
        StreamOf(stream).Drain();
        _redirected.Value = stream;
        return new Redirection(_redirected);
    }

    public nint CreateStream()
    {
        lock (_events)
        {
            _streams[++_lastHandle] = new FakeStream();
            return _lastHandle;
        }
    }

    public void DestroyStream(nint stream)
    {
        var found = StreamOf(stream);
        lock (_events)
            _streams.Remove(stream);
        found.Dispose();
    }

    public nint CreateEvent()
    {
        lock (_events)
        {
            _events[++_lastHandle] = new TaskCompletionSource();
            return _lastHandle;
        }
    }

    public void DestroyEvent(nint mark)
    {
        lock (_events)
            Assert.True(_events.Remove(mark));
    }

    public void Record(nint mark, nint stream)
    {
        Note($"record {mark} on {NameOf(stream)}");
        var happened = new TaskCompletionSource();
        lock (_events)
            _events[mark] = happened;
        Queue(stream, happened.SetResult);
    }

    public void Wait(nint stream, nint mark)
    {
        Note($"{NameOf(stream)} waits for {mark}");
        var happened = EventOf(mark);
        Queue(stream, happened.Wait);
    }

    public bool IsDone(nint mark) => EventOf(mark).IsCompleted;

    public void Synchronize(nint mark)
    {
        Note($"host waits for {mark}");
        EventOf(mark).Wait();
    }

    public void Copy(byte* destination, byte* source, long bytes, nint stream)
    {
        Note($"copy {bytes} on {NameOf(stream)}");
        Queue(stream, () => Buffer.MemoryCopy(source, destination, bytes, bytes));
    }

    public byte* AllocatePinned(long bytes)
    {
        if (Interlocked.Add(ref _pinnedBytes, bytes) > PinnedLimit)
        {
            Interlocked.Add(ref _pinnedBytes, -bytes);
            throw new CudaException("cuMemHostAlloc failed: out of memory (2).");
        }

        Interlocked.Increment(ref _pinned);
        return (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
    }

    public void FreePinned(byte* memory)
    {
        Interlocked.Decrement(ref _pinned);
        NativeMemory.AlignedFree(memory);
    }

    public void Dispose()
    {
        foreach (var stream in _streams.Values)
            stream.Dispose();
        _redirected.Dispose();
    }

    private FakeStream StreamOf(nint stream)
    {
        lock (_events)
            return _streams[stream];
    }

    private Task EventOf(nint mark)
    {
        lock (_events)
            return _events[mark].Task;
    }

    public static string NameOf(nint stream) => stream == Current ? "current" : $"stream {stream}";

    private sealed class Redirection(ThreadLocal<nint> redirected) : IDisposable
    {
        public void Dispose() => redirected.Value = Current;
    }
}
