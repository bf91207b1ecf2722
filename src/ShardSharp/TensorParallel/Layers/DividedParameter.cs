using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Which part of a parameter a rank holds.</summary>
/// <param name="Name">Name of the parameter in its module.</param>
/// <param name="Shape">Shape of the whole parameter.</param>
/// <param name="Dimension">The dimension that is divided.</param>
/// <param name="Start">First index of that dimension that the rank holds.</param>
/// <param name="Length">How many indices it holds.</param>
public sealed record DividedParameter(string Name, IReadOnlyList<long> Shape, int Dimension, long Start, long Length)
{
    /// <summary>This rank's layout of the parameter.</summary>
    internal ParameterLayout Layout => ParameterLayout.Divided([.. Shape], Dimension, [new IndexRange(Start, Length)]);

    /// <summary>Divides a parameter equally over the ranks.</summary>
    /// <param name="name">Name of the parameter in its module.</param>
    /// <param name="shape">Shape of the whole parameter.</param>
    /// <param name="dimension">The dimension that is divided.</param>
    /// <param name="ranks">The ranks, which divide the length of the dimension.</param>
    /// <exception cref="TensorParallelException">They do not divide it.</exception>
    public static DividedParameter Even(string name, IReadOnlyList<long> shape, int dimension, TensorRanks ranks)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(ranks);
        ranks.RequireDivided($"Parameter '{name}'", ($"the length of dimension {dimension},", shape[dimension]));
        var length = shape[dimension] / ranks.Size;
        return new DividedParameter(name, shape, dimension, ranks.Group.Rank * length, length);
    }

    /// <summary>Takes this rank's part out of the whole.</summary>
    /// <param name="whole">The whole parameter, which stays as it is.</param>
    /// <returns>The part, a parameter with memory of its own.</returns>
    public Parameter Of(Tensor whole)
    {
        ArgumentNullException.ThrowIfNull(whole);
        using var _ = no_grad();
        using var values = whole.detach();
        using var part = Layout.Slice(values);
        return Owned(part.clone().contiguous(), whole.requires_grad);
    }

    /// <summary>A parameter that belongs to its module, whatever dispose scope the module is created in.</summary>
    internal static Parameter Owned(Tensor values, bool trained = true)
    {
        var parameter = new Parameter(values, trained);
        parameter.DetachFromDisposeScope();
        return parameter;
    }
}
