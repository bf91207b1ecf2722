using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Parameters of one element type that are gathered and reduced together.</summary>
/// <param name="Name">Name in the model of the module whose call needs them; empty for the model itself.</param>
/// <param name="Module">That module.</param>
/// <param name="Parameters">The parameters, with their names in the model.</param>
/// <param name="Persistent">Whether they are too small to be worth gathering for each use.</param>
internal sealed record ParameterUnit(
    string Name, nn.Module Module, IReadOnlyList<(string Name, Parameter Parameter)> Parameters, bool Persistent)
{
    /// <summary>Type of all elements.</summary>
    public ScalarType ElementType => Parameters[0].Parameter.dtype;

    /// <summary>Elements of all parameters together.</summary>
    public long Elements => Parameters.Sum(named => named.Parameter.numel());
}
