using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>
/// libtorch's fused optimizer steps: one call over all parameters of a group, one pass over their memory, no temporaries
/// (aten/src/ATen/native/native_functions.yaml, cpu/FusedAdamKernel.cpp and cpu/FusedSGDKernel.cpp).
/// </summary>
/// <remarks>The kernels walk memory from a tensor's first element on: all tensors of a parameter must be contiguous and of one type.</remarks>
internal static class FusedOperators
{
    /// <summary>Numbers of an Adam step; weight decay is decoupled or part of the gradient.</summary>
    public readonly record struct AdamNumbers(
        double LearningRate, double Beta1, double Beta2, double WeightDecay, double Epsilon, bool Amsgrad, bool Maximize, bool Decoupled);

    /// <summary>Numbers of an SGD step; the first step of a momentum fills it with the gradient.</summary>
    public readonly record struct SgdNumbers(
        double LearningRate, double Momentum, double Dampening, double WeightDecay, bool Nesterov, bool FirstStep);

    /// <summary>The tensors of an Adam step, a list entry for each parameter.</summary>
    /// <param name="Steps">The number of this step, from 1, as float32 scalars.</param>
    public readonly record struct AdamTensors(
        List<Tensor> Parameters, List<Tensor> Gradients, List<Tensor> Averages, List<Tensor> Squares, List<Tensor> MaximumSquares,
        List<Tensor> Steps);

    public static void Adam(in AdamTensors tensors, in AdamNumbers numbers)
    {
        var call = new DispatcherCall(stackalloc ulong[15]);
        call.Push(tensors.Parameters);
        call.Push(tensors.Gradients);
        call.Push(tensors.Averages);
        call.Push(tensors.Squares);
        call.Push(tensors.MaximumSquares);
        call.Push(tensors.Steps);
        call.Push(numbers.LearningRate);
        call.Push(numbers.Beta1);
        call.Push(numbers.Beta2);
        call.Push(numbers.WeightDecay);
        call.Push(numbers.Epsilon);
        call.Push(numbers.Amsgrad);
        call.Push(numbers.Maximize);
        call.PushNone(); // grad_scale
        call.PushNone(); // found_inf
        call.Invoke(numbers.Decoupled ? "aten::_fused_adamw_\0"u8 : "aten::_fused_adam_\0"u8, "\0"u8);
    }

    /// <param name="parameters">What to update.</param>
    /// <param name="gradients">Their gradients.</param>
    /// <param name="buffers">Their momenta; empty without momentum.</param>
    /// <param name="numbers">The step's numbers.</param>
    public static void Sgd(
        IReadOnlyList<Tensor> parameters, IReadOnlyList<Tensor> gradients, IReadOnlyList<Tensor> buffers, in SgdNumbers numbers)
    {
        var call = new DispatcherCall(stackalloc ulong[12]);
        call.Push(parameters);
        call.Push(gradients);
        call.Push(buffers);
        call.Push(numbers.WeightDecay);
        call.Push(numbers.Momentum);
        call.Push(numbers.LearningRate);
        call.Push(numbers.Dampening);
        call.Push(numbers.Nesterov);
        call.Push(value: false); // maximize
        call.Push(numbers.FirstStep);
        call.PushNone(); // grad_scale
        call.PushNone(); // found_inf
        call.Invoke("aten::_fused_sgd_\0"u8, "\0"u8);
    }
}
