using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>A parameter that has a gradient, with its state in the optimizer.</summary>
internal sealed record ParameterSlot(Parameter Parameter, Tensor Gradient, OptimizerState State)
{
    /// <summary>Whether parameter and gradient are what the fused kernels for CPUs walk through: dense numbers one after another.</summary>
    public bool IsPlain =>
        Parameter.device_type == DeviceType.CPU && Parameter.dtype is ScalarType.Float32 or ScalarType.Float64
        && !Gradient.is_sparse && Parameter.is_contiguous() && Gradient.is_contiguous();
}
