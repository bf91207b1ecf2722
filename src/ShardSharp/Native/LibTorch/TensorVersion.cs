using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Counts how often a tensor was written in place, as autograd does: <c>aten::_version</c>, which TorchSharp does not bind.</summary>
internal static unsafe partial class TensorVersion
{
    private const string LibTorch = "torch_cpu";

    public static long Of(Tensor tensor)
    {
        // The dispatcher takes ownership of the handles on its stack (torch/csrc/stable/c/shim.h), so it gets one of its own.
        ulong stack;
        Check(CloneHandle(tensor.Handle, (nint*)&stack));
        GC.KeepAlive(tensor);
        fixed (byte* operation = "aten::_version\0"u8, overload = "\0"u8)
            Check(CallDispatcher(operation, overload, &stack, AbiVersion()));
        return (long)stack;
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new InvalidOperationException("libtorch does not tell how often a tensor was written.");
    }

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int CloneHandle(nint tensor, nint* clone);

    [LibraryImport(LibTorch, EntryPoint = "torch_call_dispatcher")]
    private static partial int CallDispatcher(byte* operation, byte* overload, ulong* stack, ulong abiVersion);

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_abi_version")]
    private static partial ulong AbiVersion();
}
