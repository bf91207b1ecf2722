using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// The linear layers of a region, whose products of matrices are most of what it computes, and those of them whose products are kept.
/// </summary>
/// <param name="linears">The layers.</param>
/// <param name="kept">Those whose products are kept.</param>
internal sealed class KeptProducts(IEnumerable<Linear> linears, HashSet<Linear> kept)
{
    private readonly HashSet<Linear> _linears = new(linears, ReferenceEqualityComparer.Instance);

    /// <summary>
    /// Whether the value of the last product is needed by nothing that the region computes again, as where it is only added to a residual stream;
    /// null until backward has found out.
    /// </summary>
    public bool? IsLastUnused { get; set; }

    /// <summary>Bytes that stay, and how long the rest took to compute again, in the latest backward; null before the first.</summary>
    public (long Bytes, TimeSpan Time)? Cost { get; set; }

    /// <summary>Whether a layer's product is kept.</summary>
    public bool Keeps(Linear linear) => kept.Contains(linear);

    /// <summary>
    /// Whether a layer's product with an input is one that need not be computed again. Others are: what hooks of the program make of a product
    /// cannot be told, and without a gradient of the weight libtorch multiplies inputs with gaps sample by sample, for which gradients are rounded
    /// differently.
    /// </summary>
    public bool Includes(Linear linear, Tensor input) =>
        _linears.Contains(linear) && !HookStack.Of(linear).HasOthers
        && input.dim() >= 2 && (input.dim() == 2 || input.is_contiguous() || linear.weight!.requires_grad);
}
