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

    private TensorLease(Tensor[] tensors, ScalarType type, List<(Tensor, Tensor)>? copies, FlatBuffer memory, bool writeBack) =>
        (_tensors, ElementType, _copies, Memory, _writeBack) = (tensors, type, copies, memory, writeBack);

    /// <summary>The memory of all tensors, one after another.</summary>
    public FlatBuffer Memory { get; }

    /// <summary>Their shape.</summary>
    public TensorShape Shape { get; private init; }

    /// <summary>Element type of the tensors.</summary>
    public ScalarType ElementType { get; }

    /// <param name="tensors">CPU tensors of one element type, of any strides.</param>
    /// <param name="written">Whether the operation writes to them, so that a strided tensor gets its result copied back.</param>
    /// <param name="outlive">Whether the lease must survive the disposal of the caller's tensors, as background work does.</param>
    public static unsafe TensorLease Of(ReadOnlySpan<Tensor> tensors, bool written, bool outlive)
    {
        var held = new Tensor[tensors.Length];
        var type = ScalarType.Byte;
        List<(Tensor, Tensor)>? copies = null;
        var pieces = tensors.Length <= 64 ? stackalloc (nint, long)[tensors.Length] : new (nint, long)[tensors.Length];
        for (var i = 0; i < tensors.Length; i++)
        {
            var facts = TensorMemory.FactsOf(tensors[i]);
            type = i == 0 ? facts.Type : type;
            Require(tensors[i], facts, type);
            var tensor = outlive ? tensors[i].alias().DetachFromDisposeScope() : tensors[i];
            held[i] = tensor;
            if (!facts.IsContiguous)
            {
                var dense = tensor.contiguous().DetachFromDisposeScope();
                (copies ??= []).Add((tensor, dense));
                tensor = dense;
            }

            pieces[i] = (TensorMemory.DataPointer(tensor), facts.Elements * ElementTypes.SizeOf(type));
        }

        var memory = tensors.Length == 1 ? new FlatBuffer((void*)pieces[0].Item1, pieces[0].Item2) : new FlatBuffer(pieces);
        return new TensorLease(held, type, copies, memory, written) { Outlives = outlive, Shape = TensorShape.Of(tensors) };
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

    private static void Require(Tensor tensor, in TensorFacts facts, ScalarType elementType)
    {
        if (facts.Device != DeviceType.CPU)
            throw new NotSupportedException($"A tensor on {tensor.device} was given; this backend communicates CPU tensors. Use tensor.cpu().");
        if (!facts.IsStrided)
            throw new NotSupportedException("A sparse tensor was given; communication needs dense tensors. Use tensor.to_dense().");
        if (facts.Type != elementType)
            throw new ArgumentException($"Tensors of one operation must share an element type; found {elementType} and {facts.Type}.");
    }
}
