using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Has tensors of a GPU wait in pinned memory of the host, which a stream of its own copies to and from.</summary>
/// <remarks>
/// <para>The host never waits. Events order the copies: one out begins when what computed the tensor is done, and the tensor's memory is given back
/// when libtorch's stream has been told to wait for the copy, <see cref="Leaving"/> regions later, when it is done as a rule. One in begins when what
/// used its memory before is done, and whoever uses the tensor waits for it on the GPU.</para>
/// <para>All copies are in one stream, so a block of pinned memory can be used again at once.</para>
/// </remarks>
internal sealed unsafe class PinnedActivations : IDisposable
{
    /// <summary>Regions whose inputs stay on the GPU while they are copied out.</summary>
    public const int Leaving = 2;

    private readonly ICudaDevice _device;
    private readonly PinnedMemory _memory;
    private readonly nint _stream;
    private readonly nint _mark;
    private readonly Stack<nint> _events = [];
    private readonly Queue<PinnedTensor[]> _leaving = [];

    /// <param name="device">The GPU.</param>
    public PinnedActivations(ICudaDevice device)
    {
        (_device, _memory) = (device, new PinnedMemory(device));
        (_stream, _mark) = (device.CreateStream(), device.CreateEvent());
    }

    /// <summary>Bytes of pinned memory.</summary>
    public long Bytes => _memory.Bytes;

    /// <summary>Begins to copy a tensor out; it stays on the GPU until <see cref="EndForward"/>.</summary>
    /// <param name="tensor">A contiguous tensor of this GPU. It stays the caller's.</param>
    /// <exception cref="InsufficientMemoryException">There is no pinned memory; nothing has happened then.</exception>
    public PinnedTensor Store(Tensor tensor)
    {
        var bytes = TensorBytes.Of(tensor);
        var stored = new PinnedTensor(tensor, _memory.Rent(bytes), bytes, _device.Index) { OnDevice = TensorReference.Of(tensor) };
        AfterWhatIsQueued();
        Copy(stored, (byte*)stored.Block, (byte*)TensorMemory.DataPointer(tensor));
        return stored;
    }

    /// <summary>Lets go of what a region was given, in its turn.</summary>
    public void EndForward(PinnedTensor[] stored)
    {
        _leaving.Enqueue(stored);
        while (_leaving.Count > Leaving)
        {
            foreach (var tensor in _leaving.Dequeue())
                LetGo(tensor);
        }
    }

    /// <summary>Begins to copy a tensor back, unless it is on the GPU.</summary>
    public void BeginLoad(PinnedTensor stored)
    {
        if (stored.OnDevice is not null)
            return;
        var tensor = stored.OnDevice = stored.Allocate();
        stored.IsLoading = true;
        AfterWhatIsQueued();
        Copy(stored, (byte*)TensorMemory.DataPointer(tensor), (byte*)stored.Block);
    }

    /// <summary>The tensor, of the caller's dispose scope; what is queued after this sees its values.</summary>
    public Tensor Take(PinnedTensor stored)
    {
        BeginLoad(stored);
        if (stored.IsLoading)
            Await(stored);
        Forget(stored.Copied);
        _memory.Return(stored.Block, stored.Bytes);
        using var tensor = stored.OnDevice!;
        (stored.OnDevice, stored.Copied) = (null, null);
        return tensor.detach();
    }

    /// <summary>Lets go of a tensor that nobody takes.</summary>
    public void Forget(PinnedTensor stored)
    {
        LetGo(stored);
        _memory.Return(stored.Block, stored.Bytes);
    }

    public void Dispose()
    {
        // No copy may be queued when pinned memory is freed.
        _device.Record(_mark, _stream);
        _device.Synchronize(_mark);
        _memory.Dispose();
        while (_events.TryPop(out var mark))
            _device.DestroyEvent(mark);
        _device.DestroyEvent(_mark);
        _device.DestroyStream(_stream);
    }

    /// <summary>Has the stream of copies wait for what libtorch has queued so far.</summary>
    private void AfterWhatIsQueued()
    {
        _device.Record(_mark, _device.CurrentStream);
        _device.Wait(_stream, _mark);
    }

    private void Copy(PinnedTensor stored, byte* destination, byte* source)
    {
        _device.Copy(destination, source, stored.Bytes, _stream);
        var copied = _events.TryPop(out var mark) ? mark : _device.CreateEvent();
        _device.Record(copied, _stream);
        stored.Copied = copied;
    }

    /// <summary>libtorch gives the memory to what is queued next, so that has to wait until the copy is done.</summary>
    private void LetGo(PinnedTensor stored)
    {
        if (stored.OnDevice is null)
            return;
        Await(stored);
        Forget(stored.Copied);
        stored.OnDevice.Dispose();
        (stored.OnDevice, stored.Copied) = (null, null);
    }

    private void Await(PinnedTensor stored) => _device.Wait(_device.CurrentStream, stored.Copied!.Value);

    /// <summary>An event serves again at once: who waits for it waits for what it was recorded for.</summary>
    private void Forget(nint? copied)
    {
        if (copied is { } mark)
            _events.Push(mark);
    }
}
