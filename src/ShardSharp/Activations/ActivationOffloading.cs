using ShardSharp.Modules;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Has the inputs of checkpointed regions wait for backward on a disk: they lie in a file that is mapped into memory, whose pages are let go when
/// forward has left a region, and read ahead before backward comes to it.
/// </summary>
/// <remarks>
/// The tensors stay what they are, whoever holds them: pages come back when they are read. What a region returns is put into the file at once,
/// since it is the input of the next. The kernel reads and writes in the background. Tensors below
/// <see cref="AllocatorCode.SmallestBlock"/> stay in memory.
/// </remarks>
internal sealed class ActivationOffloading : IDisposable
{
    private readonly SpillFile _file;
    private readonly SpilledTensors _tensors;
    private readonly int _horizon;
    private readonly List<(CheckpointCall Call, (nint Address, long Length)[] Places)> _waiting = [];

    /// <param name="folder">Where the file is made; null chooses one.</param>
    /// <param name="horizon">How many regions before their use inputs are read ahead.</param>
    /// <exception cref="PlatformNotSupportedException">libtorch's allocator cannot be replaced here.</exception>
    /// <exception cref="IOException">There is no folder for the file.</exception>
    public ActivationOffloading(string? folder, int horizon)
    {
        if (!TensorAllocator.Install())
        {
            throw new PlatformNotSupportedException(
                "Offloading activations needs Linux x64 and libtorch's own allocator, with executable memory allowed. Set offload_activations to "
                + "false.");
        }

        _horizon = horizon;
        _file = new SpillFile(SpillFolder.Find(folder, Purpose), Purpose);
        _tensors = new SpilledTensors(_file);
    }

    /// <summary>Bytes of the file that are in use.</summary>
    public long BytesInUse => _file.BytesInUse;

    private static SpillPurpose Purpose { get; } = new("Offloading activations", "activation_offloading_folder", "the same rank's activations");

    /// <summary>A tensor of the same values that lies in the file.</summary>
    /// <exception cref="IOException">The disk is full.</exception>
    public Tensor Place(Tensor tensor) => _tensors.Make(() =>
    {
        using var unrecorded = no_grad();
        return tensor.detach().clone();
    });

    /// <summary>What to keep of a region's inputs: those that lie in the file already as they are, others as copies in it.</summary>
    public List<Tensor> Keep(IReadOnlyList<Tensor> inputs) => [.. inputs.Select(input => Lies(input) ? input : Place(input))];

    /// <summary>Lets go of a region's inputs until backward comes to it.</summary>
    /// <param name="call">The use of the region.</param>
    /// <param name="kept">Its inputs, as <see cref="Keep"/> returned them.</param>
    public void EndForward(CheckpointCall call, IReadOnlyList<Tensor> kept)
    {
        var places = kept.Where(Lies).Select(tensor => _file.PagesOf(TensorMemory.DataPointer(tensor))).ToArray();
        foreach (var (address, length) in places)
            _file.LetGo(address, length);
        _waiting.Add((call, places));
    }

    /// <summary>Called before a region computes again: has the inputs of those that come after it read ahead.</summary>
    public void BeginBackward(CheckpointCall call)
    {
        var index = _waiting.FindLastIndex(waiting => waiting.Call == call);
        if (index < 0)
            return;
        _waiting.RemoveAt(index);
        foreach (var (address, length) in _waiting[Math.Max(0, index - _horizon)..index].SelectMany(waiting => waiting.Places))
            FileMemory.ReadAhead(address, length);
    }

    /// <summary>Forgets regions that backward did not come to.</summary>
    public void EndBackward() => _waiting.Clear();

    public void Dispose() => _file.Dispose();

    private bool Lies(Tensor tensor) => tensor.device_type == TorchSharp.DeviceType.CPU && tensor.numel() > 0
        && _file.Holds(TensorMemory.DataPointer(tensor));
}
