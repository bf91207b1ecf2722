using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>The linear layers of a region whose products of matrices are kept, so that the region computes again only what lies between them.</summary>
/// <param name="linears">The layers.</param>
internal sealed class KeptProducts(IEnumerable<Linear> linears)
{
    private readonly HashSet<nn.Module> _linears = new(linears, ReferenceEqualityComparer.Instance);

    /// <summary>
    /// Whether the value of the last product is needed by nothing that the region computes again, as where it is only added to a residual stream;
    /// null until backward has found out.
    /// </summary>
    public bool? IsLastUnused { get; set; }

    /// <summary>Whether a layer's product with an input is kept. What hooks of the program do with it cannot be told, so those layers compute again.</summary>
    public bool Contains(Linear linear, Tensor input) => _linears.Contains(linear) && input.dim() >= 2 && !HookStack.Of(linear).HasOthers;
}
