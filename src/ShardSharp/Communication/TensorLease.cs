using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Tensors as memory that communication may read and write: contiguous, on one device, alive until the lease ends.</summary>
internal readonly struct TensorLease : IDisposable
{
    private readonly DenseCopies? _copies;

    /// <summary>A <see cref="Tensor"/> or an array of them: a call on one tensor allocates nothing.</summary>
    private readonly object? _tensors;

    private readonly bool _outlives;

    private TensorLease(
        object? tensors, ScalarType type, DenseCopies? copies, FlatBuffer memory, int? device, bool outlives, in TensorShape shape)
    {
        _tensors = tensors;
        _copies = copies;
        _outlives = outlives;
        Memory = memory;
        Device = device;
        Shape = shape;
        ElementType = type;
    }

    /// <summary>The memory of all tensors, one after another.</summary>
    public FlatBuffer Memory { get; }

    /// <summary>The GPU that the memory belongs to; null for the host's.</summary>
    public int? Device { get; }

    /// <summary>Their shape.</summary>
    public TensorShape Shape { get; }

    /// <summary>Element type of the tensors.</summary>
    public ScalarType ElementType { get; }

    /// <summary>Whether there is no tensor at all.</summary>
    public bool IsEmpty => Shape.Tensors == 0;

    /// <param name="devices">Tell which tensors are on a GPU.</param>
    /// <param name="tensors">Tensors of one element type and on one device, of any strides.</param>
    /// <param name="written">Whether the operation writes to them, so that a strided tensor gets its result copied back.</param>
    /// <param name="outlive">Whether the lease must survive the disposal of the caller's tensors, as background work does.</param>
    public static TensorLease Of(ICudaDevices devices, ReadOnlySpan<Tensor> tensors, bool written, bool outlive) =>
        tensors.Length == 1 ? Of(devices, tensors[0], written, outlive) : OfSeveral(devices, tensors, written, outlive);

    /// <param name="tensor">One tensor, of any strides.</param>
    /// <inheritdoc cref="Of(ICudaDevices, ReadOnlySpan{Tensor}, bool, bool)"/>
    public static unsafe TensorLease Of(ICudaDevices devices, Tensor tensor, bool written, bool outlive)
    {
        var facts = TensorMemory.FactsOf(tensor);
        var device = devices.IndexOf(tensor, facts.Device);
        Require(tensor, facts, facts.Type, device, device);
        DenseCopies? copies = null;
        var held = outlive ? tensor.alias().DetachFromDisposeScope() : tensor;
        var dense = facts.IsContiguous ? held : (copies = new DenseCopies(written)).Add(held);
        var memory = new FlatBuffer((void*)TensorMemory.DataPointer(dense), facts.Elements * ElementTypes.SizeOf(facts.Type));
        return new TensorLease(held, facts.Type, copies, memory, device, outlive, TensorShape.Of(tensor));
    }

    private static TensorLease OfSeveral(ICudaDevices devices, ReadOnlySpan<Tensor> tensors, bool written, bool outlive)
    {
        var held = new Tensor[tensors.Length];
        var type = ScalarType.Byte;
        DenseCopies? copies = null;
        int? device = null;
        var pieces = tensors.Length <= 64 ? stackalloc (nint, long)[tensors.Length] : new (nint, long)[tensors.Length];
        for (var i = 0; i < tensors.Length; i++)
        {
            var facts = TensorMemory.FactsOf(tensors[i]);
            var index = devices.IndexOf(tensors[i], facts.Device);
            (type, device) = i == 0 ? (facts.Type, index) : (type, device);
            Require(tensors[i], facts, type, index, device);
            var tensor = outlive ? tensors[i].alias().DetachFromDisposeScope() : tensors[i];
            held[i] = tensor;
            if (!facts.IsContiguous)
                tensor = (copies ??= new DenseCopies(written)).Add(tensor);
            pieces[i] = (TensorMemory.DataPointer(tensor), facts.Elements * ElementTypes.SizeOf(type));
        }

        return new TensorLease(held, type, copies, new FlatBuffer(pieces), device, outlive, TensorShape.Of(tensors));
    }

    /// <summary>Where memory is, in words.</summary>
    public static string Place(int? device) => device is { } index ? $"cuda:{index}" : "the CPU";

    /// <summary>Whether results are still to be copied back to strided tensors.</summary>
    public bool NeedsWriteBack => _copies is { IsStale: true };

    /// <summary>Copies results back to strided tensors, once.</summary>
    public void WriteBack() => _copies?.WriteBack();

    /// <summary>Copies results back to strided tensors, if that is not done, and lets go of everything the lease holds.</summary>
    public void Dispose()
    {
        WriteBack();
        Release();
    }

    /// <summary>Lets go of everything the lease holds, whatever became of the results.</summary>
    public void Release()
    {
        _copies?.Dispose();
        if (_outlives)
        {
            (_tensors as Tensor)?.Dispose();
            foreach (var tensor in _tensors as Tensor[] ?? [])
                tensor.Dispose();
        }

        GC.KeepAlive(_tensors);
    }

    private static void Require(Tensor tensor, in TensorFacts facts, ScalarType elementType, int? device, int? deviceOfFirst)
    {
        if (device is null && facts.Device != DeviceType.CPU)
            throw new NotSupportedException($"A tensor on {tensor.device} was given; CPU and CUDA tensors are communicated. Use tensor.cpu().");
        if (device != deviceOfFirst)
            throw new ArgumentException($"Tensors of one operation must share a device; found {Place(deviceOfFirst)} and {Place(device)}.");
        if (!facts.IsStrided)
            throw new NotSupportedException("A sparse tensor was given; communication needs dense tensors. Use tensor.to_dense().");
        if (facts.Type != elementType)
            throw new ArgumentException($"Tensors of one operation must share an element type; found {elementType} and {facts.Type}.");
    }
}
