using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>libtorch's operators over lists of tensors: one call where there would be one for each tensor.</summary>
internal static class ForeachOperators
{
    /// <summary>Multiplies all tensors in place by the same number.</summary>
    /// <param name="tensors">Tensors of any shapes; none twice.</param>
    /// <param name="factor">A tensor of one element.</param>
    public static void Multiply(IReadOnlyList<Tensor> tensors, Tensor factor)
    {
        var call = new DispatcherCall(stackalloc ulong[2]);
        call.Push(tensors);
        call.Push(factor);
        call.Invoke("aten::_foreach_mul_\0"u8, "Tensor\0"u8);
    }
}
