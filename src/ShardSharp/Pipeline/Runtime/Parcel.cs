using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Tensors that a stage got from another; disposing it lets go of them.</summary>
/// <param name="Tensors">The tensors and whether gradients shall flow back through them; null for one that is not there.</param>
/// <param name="Pool">The buffers that their memory goes back to; null where it is freed with its last user.</param>
internal sealed record Parcel(IReadOnlyList<(Tensor? Value, bool RequiresGradient)> Tensors, BoundaryBuffers? Pool) : IDisposable
{
    /// <summary>What the first stage gets.</summary>
    public static Parcel Empty { get; } = new([], null);

    /// <summary>The tensors as leaves of a graph of their own.</summary>
    /// <param name="isTrained">Whether gradients are wanted of those through which they shall flow.</param>
    public Tensor[] Leaves(bool isTrained) =>
    [
        .. Tensors.Select(tensor =>
        {
            var leaf = tensor.Value!.detach().DetachFromDisposeScope();
            leaf.requires_grad = isTrained && tensor.RequiresGradient;
            return leaf;
        }),
    ];

    public void Dispose()
    {
        foreach (var tensor in Tensors.Select(tensor => tensor.Value).OfType<Tensor>())
        {
            if (Pool is null)
                tensor.Dispose();
            else
                Pool.Return(tensor);
        }
    }
}
