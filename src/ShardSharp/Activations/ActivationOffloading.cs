using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Has the inputs of checkpointed regions wait for backward elsewhere. On the CPU that is a disk: they lie in a file that is mapped into memory, whose
/// pages are let go when forward has left a region, and read ahead before backward comes to it. Those of a GPU wait in pinned memory of the host.
/// </summary>
/// <remarks>
/// Tensors of the CPU stay what they are, whoever holds them: pages come back when they are read. What a region returns is put into the file at once,
/// since it is the input of the next. The kernel reads and writes in the background. The memory of a GPU's tensor is free when nobody holds it any
/// more. Tensors below <see cref="AllocatorCode.SmallestBlock"/> stay where they are.
/// </remarks>
internal sealed class ActivationOffloading : IDisposable
{
    private readonly SpillFile _file;
    private readonly SpilledTensors _tensors;
    private readonly int _horizon;
    private readonly ICudaDevices _devices;
    private readonly Dictionary<int, PinnedActivations> _pinned = [];
    private readonly List<Waiting> _waiting = [];

    /// <param name="folder">Where the file is made; null chooses one.</param>
    /// <param name="horizon">How many regions before their use inputs are brought back.</param>
    /// <param name="devices">The GPUs.</param>
    /// <exception cref="PlatformNotSupportedException">libtorch's allocator cannot be replaced here.</exception>
    /// <exception cref="IOException">There is no folder for the file.</exception>
    public ActivationOffloading(string? folder, int horizon, ICudaDevices devices)
    {
        if (!TensorAllocator.Install())
        {
            throw new PlatformNotSupportedException(
                "Offloading activations needs Linux x64 and libtorch's own allocator, with executable memory allowed. Set offload_activations to "
                + "false.");
        }

        (_horizon, _devices) = (horizon, devices);
        _file = new SpillFile(SpillFolder.Find(folder, Purpose), Purpose);
        _tensors = new SpilledTensors(_file);
    }

    /// <summary>Bytes of the file that are in use.</summary>
    public long BytesInUse => _file.BytesInUse;

    private static SpillPurpose Purpose { get; } = new("Offloading activations", "activation_offloading_folder", "the same rank's activations");

    /// <summary>What a region is to return for a tensor that it computed: the same values in the file; of a GPU the tensor itself.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    public Tensor Place(Tensor tensor) => DeviceOf(tensor) is null ? Spill(tensor) : tensor.detach();

    /// <summary>What to keep of a region's inputs: those that lie in the file already as they are, others as copies in it or in pinned memory.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    /// <exception cref="InsufficientMemoryException">There is no pinned memory.</exception>
    public OffloadedInputs Keep(IReadOnlyList<Tensor> inputs)
    {
        var (saved, pinned) = (new List<Tensor>(), new PinnedTensor?[inputs.Count]);
        try
        {
            foreach (var (i, input) in inputs.Index())
            {
                if (DeviceOf(input) is not { } device)
                    saved.Add(Lies(input) ? input : Spill(input));
                else if (!IsLarge(input) || !input.is_contiguous())
                    saved.Add(input);
                else
                {
                    pinned[i] = PinnedOf(device).Store(input);
                    saved.Add(empty(0));
                }
            }

            return new OffloadedInputs(saved, pinned);
        }
        catch
        {
            Forget(pinned);
            throw;
        }
    }

    /// <summary>Lets go of a region's inputs until backward comes to it.</summary>
    /// <param name="call">The use of the region.</param>
    /// <param name="kept">Its inputs.</param>
    public void EndForward(CheckpointCall call, OffloadedInputs kept)
    {
        var places = kept.Saved.Where(Lies).Select(tensor => _file.PagesOf(TensorMemory.DataPointer(tensor))).ToArray();
        foreach (var (address, length) in places)
            _file.LetGo(address, length);
        foreach (var ofDevice in kept.Pinned.OfType<PinnedTensor>().GroupBy(pinned => pinned.Device))
            _pinned[ofDevice.Key].EndForward([.. ofDevice]);
        _waiting.Add(new Waiting(call, places, kept.Pinned));
    }

    /// <summary>Called before a region computes again: has the inputs of those that come after it brought back, and returns its own.</summary>
    /// <param name="call">The use of the region.</param>
    /// <param name="saved">What autograd kept of its inputs.</param>
    public List<Tensor> BeginBackward(CheckpointCall call, List<Tensor> saved)
    {
        var index = _waiting.FindLastIndex(waiting => waiting.Call == call);
        if (index < 0)
            return saved;
        var own = _waiting[index].Pinned;
        _waiting.RemoveAt(index);
        List<Tensor> inputs = [.. saved.Zip(own, (tensor, pinned) => pinned is null ? tensor : _pinned[pinned.Device].Take(pinned))];
        foreach (var next in _waiting[Math.Max(0, index - _horizon)..index].AsEnumerable().Reverse())
        {
            foreach (var (address, length) in next.Places)
                FileMemory.ReadAhead(address, length);
            foreach (var pinned in next.Pinned.OfType<PinnedTensor>())
                _pinned[pinned.Device].BeginLoad(pinned);
        }

        return inputs;
    }

    /// <summary>Forgets regions that backward did not come to.</summary>
    public void EndBackward()
    {
        foreach (var waiting in _waiting)
            Forget(waiting.Pinned);
        _waiting.Clear();
    }

    public void Dispose()
    {
        EndBackward();
        foreach (var pinned in _pinned.Values)
            pinned.Dispose();
        _file.Dispose();
    }

    private Tensor Spill(Tensor tensor) => _tensors.Make(() =>
    {
        using var unrecorded = no_grad();
        return tensor.detach().clone();
    });

    private void Forget(PinnedTensor?[] tensors)
    {
        foreach (var pinned in tensors.OfType<PinnedTensor>())
            _pinned[pinned.Device].Forget(pinned);
    }

    private PinnedActivations PinnedOf(int device)
    {
        if (!_pinned.TryGetValue(device, out var pinned))
            _pinned[device] = pinned = new PinnedActivations(_devices.Open(device));
        return pinned;
    }

    private int? DeviceOf(Tensor tensor) => _devices.IndexOf(tensor, tensor.device_type);

    private static bool IsLarge(Tensor tensor) => TensorBytes.Of(tensor) >= AllocatorCode.SmallestBlock;

    private bool Lies(Tensor tensor) => tensor.device_type == TorchSharp.DeviceType.CPU && tensor.numel() > 0
        && _file.Holds(TensorMemory.DataPointer(tensor));

    /// <summary>The inputs of a region that wait.</summary>
    /// <param name="Call">The use of the region.</param>
    /// <param name="Places">The pages of those that lie in the file.</param>
    /// <param name="Pinned">Where those of a GPU wait; null for others.</param>
    private sealed record Waiting(CheckpointCall Call, (nint Address, long Length)[] Places, PinnedTensor?[] Pinned);
}
