using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Gives a tensor other contents while it stays the same tensor: <c>aten::set_data</c>, which TorchSharp does not bind.</summary>
internal static partial class TensorData
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

    /// <summary>
    /// Another object for the same tensor, also for autograd, which lives on when the first is disposed. It belongs to no dispose scope.
    /// </summary>
    public static unsafe Tensor Another(Tensor tensor)
    {
        nint handle;
        if (NewHandle(tensor.Handle, &handle) != 0)
            throw new InvalidOperationException($"The tensor {tensor} cannot be held.");
        GC.KeepAlive(tensor);
        return Tensor.UnsafeCreateTensor(handle).DetachFromDisposeScope();
    }

    [LibraryImport("torch_cpu", EntryPoint = "aoti_torch_new_tensor_handle")]
    private static unsafe partial int NewHandle(nint tensor, nint* another);
}
