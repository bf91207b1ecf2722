using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>The sum of what a part of a transformer computed and what it was given.</summary>
internal static class Residual
{
    /// <param name="computed">What it computed.</param>
    /// <param name="given">What it was given, of the same shape and type.</param>
    /// <param name="options">Says in which type they are added.</param>
    public static Tensor Add(Tensor computed, Tensor given, DistributedTransformerOptions options) => options.Float32ResidualAddition
        ? (computed.to_type(ScalarType.Float32) + given.to_type(ScalarType.Float32)).to_type(given.dtype)
        : computed + given;
}
