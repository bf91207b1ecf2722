using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>
/// The layouts of a module's parameters, by the names the parameters have in the module: what norms, checkpoints and predictions go by. A
/// parameter that nothing was said of is whole.
/// </summary>
internal sealed class ParameterLayouts
{
    private readonly Dictionary<string, ParameterLayout> _layouts = new(StringComparer.Ordinal);

    /// <summary>The names of the parameters whose layouts were given.</summary>
    public IEnumerable<string> Names => _layouts.Keys;

    /// <summary>Sets what this rank holds of a parameter.</summary>
    /// <param name="name">Name of the parameter in the module.</param>
    /// <param name="layout">What of it this rank holds.</param>
    public void Set(string name, ParameterLayout layout) => _layouts[name] = layout;

    /// <summary>What this rank holds of a parameter.</summary>
    /// <param name="name">Name of the parameter in the module.</param>
    /// <param name="local">This rank's tensor, whose shape a parameter that was not divided has.</param>
    public ParameterLayout Of(string name, Tensor local) => Of(name, local.shape);

    /// <summary>What this rank holds of a parameter.</summary>
    /// <param name="name">Name of the parameter in the module.</param>
    /// <param name="shape">Shape of this rank's tensor.</param>
    public ParameterLayout Of(string name, ReadOnlySpan<long> shape) =>
        _layouts.TryGetValue(name, out var layout) ? layout : ParameterLayout.Whole(shape);
}
