using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Gives a tensor other contents while it stays the same tensor: <c>aten::set_data</c>, which TorchSharp does not bind.</summary>
internal static class TensorData
{
    /// <summary>
    /// Makes a tensor look at the memory of another, with its shape and type. What holds the tensor, as the fields of a module do, sees the new
    /// contents; it keeps its gradient, and whether it needs one. The memory it looked at before is freed if nobody else uses it.
    /// </summary>
    public static void Set(Tensor tensor, Tensor data)
    {
        Span<ulong> stack = stackalloc ulong[2];
        var call = new DispatcherCall(stack);
        call.Push(tensor);
        call.Push(data);
        call.Invoke("aten::set_data\0"u8, "\0"u8);
    }
}
