using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Contiguous stand-ins for tensors of other strides.</summary>
/// <param name="written">Whether an operation writes to them.</param>
internal sealed class DenseCopies(bool written) : IDisposable
{
    private readonly List<(Tensor Original, Tensor Dense)> _copies = [];

    /// <summary>Whether the originals lack what was written.</summary>
    public bool IsStale { get; private set; } = written;

    /// <summary>Makes a stand-in.</summary>
    public Tensor Add(Tensor original)
    {
        var dense = original.contiguous().DetachFromDisposeScope();
        _copies.Add((original, dense));
        return dense;
    }

    /// <summary>Gives the originals what was written to their stand-ins, once.</summary>
    public void WriteBack()
    {
        if (!IsStale)
            return;
        IsStale = false;
        using var _ = no_grad();
        foreach (var (original, dense) in _copies)
        {
            using var target = original.detach();
            target.copy_(dense);
        }
    }

    public void Dispose()
    {
        foreach (var (_, dense) in _copies)
            dense.Dispose();
    }
}
