using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Precision;

/// <summary>The types of a mixed-precision training (Micikevicius et al., arXiv:1710.03740); what is kept and accumulated is float32.</summary>
/// <param name="Compute">Parameters as the module sees them, and what it is called with.</param>
/// <param name="Reduce">Gradients on their way between ranks.</param>
/// <param name="Buffers">The module's floating-point buffers.</param>
/// <param name="Output">What the module returns.</param>
internal sealed record PrecisionPolicy(ScalarType Compute, ScalarType Reduce, ScalarType Buffers, ScalarType Output)
{
    /// <summary>The policy of a configuration; null when everything is computed in the type of the parameters.</summary>
    public static PrecisionPolicy? Of(ParallelConfiguration configuration)
    {
        if (!configuration.IsMixedPrecision)
            return null;
        var compute = configuration.Float16 ? FloatingPointType.Float16 : FloatingPointType.BFloat16;
        return new PrecisionPolicy(
            TypeOf(compute), TypeOf(configuration.ReduceType), TypeOf(configuration.BufferType ?? compute), TypeOf(configuration.OutputType));
    }

    private static ScalarType TypeOf(FloatingPointType type) => type switch
    {
        FloatingPointType.Float16 => ScalarType.Float16,
        FloatingPointType.BFloat16 => ScalarType.BFloat16,
        _ => ScalarType.Float32,
    };
}
