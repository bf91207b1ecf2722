using static TorchSharp.torch;

namespace ShardSharp.Precision;

/// <summary>The float32 values of parameters that a module sees rounded: what the optimizer updates, so that small updates add up.</summary>
/// <param name="rounded">The memory of the parameters, in the type that the module computes in; stays the caller's.</param>
internal sealed class MasterSlice(Tensor rounded) : IDisposable
{
    /// <summary>The values, as many as in the module's memory; zeros at first.</summary>
    public Tensor Values { get; } = zeros(rounded.shape, ScalarType.Float32, rounded.device).DetachFromDisposeScope();

    /// <summary>Gives the module the values of now, each rounded to nearest.</summary>
    public void Publish()
    {
        using var _ = no_grad();
        rounded.copy_(Values);
    }

    public void Dispose() => Values.Dispose();
}
