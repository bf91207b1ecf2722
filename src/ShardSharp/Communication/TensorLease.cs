using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Tensors as memory that communication may read and write: contiguous, on the CPU, alive until the lease ends.</summary>
internal readonly struct TensorLease : IDisposable
{
    private readonly List<(Tensor Original, Tensor Dense)>? _copies;
    private readonly Tensor[] _tensors;
    private readonly bool _writeBack;

    private TensorLease(Tensor[] tensors, List<(Tensor, Tensor)>? copies, FlatBuffer memory, bool writeBack) =>
        (_tensors, _copies, Memory, _writeBack) = (tensors, copies, memory, writeBack);

    /// <summary>The memory of all tensors, one after another.</summary>
    public FlatBuffer Memory { get; }

    /// <summary>Their shape.</summary>
    public TensorShape Shape { get; private init; }

    /// <summary>Element type of the tensors.</summary>
    public ScalarType ElementType => _tensors.Length == 0 ? ScalarType.Byte : _tensors[0].dtype;

    /// <param name="tensors">CPU tensors of one element type, of any strides.</param>
    /// <param name="written">Whether the operation writes to them, so that a strided tensor gets its result copied back.</param>
    /// <param name="outlive">Whether the lease must survive the disposal of the caller's tensors, as background work does.</param>
    public static unsafe TensorLease Of(ReadOnlySpan<Tensor> tensors, bool written, bool outlive)
    {
        var held = new Tensor[tensors.Length];
        List<(Tensor, Tensor)>? copies = null;
        var pieces = tensors.Length <= 64 ? stackalloc (nint, long)[tensors.Length] : new (nint, long)[tensors.Length];
        for (var i = 0; i < tensors.Length; i++)
        {
            Require(tensors[i], tensors[0].dtype);
            var tensor = outlive ? tensors[i].alias().DetachFromDisposeScope() : tensors[i];
            held[i] = tensor;
            if (!tensor.is_contiguous())
            {
                var dense = tensor.contiguous().DetachFromDisposeScope();
                (copies ??= []).Add((tensor, dense));
                tensor = dense;
            }

            pieces[i] = (TensorMemory.DataPointer(tensor), tensor.numel() * ElementTypes.SizeOf(tensor.dtype));
        }

        var memory = tensors.Length == 1 ? new FlatBuffer((void*)pieces[0].Item1, pieces[0].Item2) : new FlatBuffer(pieces);
        return new TensorLease(held, copies, memory, written) { Outlives = outlive, Shape = TensorShape.Of(tensors) };
    }

    private bool Outlives { get; init; }

    /// <summary>Copies results back to strided tensors and lets go of everything the lease holds.</summary>
    public void Dispose()
    {
        foreach (var (original, dense) in _copies ?? [])
        {
            if (_writeBack)
            {
                using var _ = torch.no_grad();
                using var target = original.detach();
                target.copy_(dense);
            }

            dense.Dispose();
        }

        if (Outlives)
        {
            foreach (var tensor in _tensors)
                tensor.Dispose();
        }

        GC.KeepAlive(_tensors);
    }

    private static void Require(Tensor tensor, ScalarType elementType)
    {
        if (tensor.device_type != DeviceType.CPU)
            throw new NotSupportedException($"A tensor on {tensor.device} was given; this backend communicates CPU tensors. Use tensor.cpu().");
        if (tensor.is_sparse)
            throw new NotSupportedException("A sparse tensor was given; communication needs dense tensors. Use tensor.to_dense().");
        if (tensor.dtype != elementType)
            throw new ArgumentException($"Tensors of one operation must share an element type; found {elementType} and {tensor.dtype}.");
    }
}
