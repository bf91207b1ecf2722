using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Gives a tensor other contents while it stays the same tensor: <c>aten::set_data</c>, which TorchSharp does not bind.</summary>
internal static unsafe partial class TensorData
{
    private const string LibTorch = "torch_cpu";

    /// <summary>
    /// Makes a tensor look at the memory of another, with its shape and type. What holds the tensor, as the fields of a module do, sees the new
    /// contents; it keeps its gradient, and whether it needs one. The memory it looked at before is freed if nobody else uses it.
    /// </summary>
    public static void Set(Tensor tensor, Tensor data)
    {
        // The dispatcher takes ownership of the handles on its stack (torch/csrc/stable/c/shim.h), so it gets some of its own.
        var stack = stackalloc ulong[2];
        Check(CloneHandle(tensor.Handle, (nint*)stack));
        Check(CloneHandle(data.Handle, (nint*)(stack + 1)));
        GC.KeepAlive(tensor);
        GC.KeepAlive(data);
        fixed (byte* operation = "aten::set_data\0"u8, overload = "\0"u8)
            Check(CallDispatcher(operation, overload, stack, AbiVersion()));
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new InvalidOperationException("libtorch does not give a tensor other contents; the reason is on standard error.");
    }

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int CloneHandle(nint tensor, nint* clone);

    [LibraryImport(LibTorch, EntryPoint = "torch_call_dispatcher")]
    private static partial int CallDispatcher(byte* operation, byte* overload, ulong* stack, ulong abiVersion);

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_abi_version")]
    private static partial ulong AbiVersion();
}
