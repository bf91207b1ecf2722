using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>A tensor of a GPU that waits in pinned memory of the host.</summary>
/// <param name="tensor">The tensor.</param>
/// <param name="block">Where it waits.</param>
/// <param name="bytes">Its bytes.</param>
/// <param name="device">The GPU's number.</param>
internal sealed class PinnedTensor(Tensor tensor, nint block, long bytes, int device)
{
    private readonly long[] _shape = tensor.shape;
    private readonly ScalarType _type = tensor.dtype;
    private readonly Device _device = tensor.device;

    /// <summary>Where it waits.</summary>
    public nint Block => block;

    /// <summary>Its bytes.</summary>
    public long Bytes => bytes;

    /// <summary>The GPU's number.</summary>
    public int Device => device;

    /// <summary>The tensor itself as long as it is on the GPU, or again; null in between.</summary>
    public Tensor? OnDevice { get; set; }

    /// <summary>Happens when the copy out or in that was queued last is done; null where nobody needs to know any more.</summary>
    public nint? Copied { get; set; }

    /// <summary>Whether the copy that was queued last goes to the GPU.</summary>
    public bool IsLoading { get; set; }

    /// <summary>Memory for it on the GPU.</summary>
    public Tensor Allocate() => empty(_shape, _type, _device).DetachFromDisposeScope();
}
