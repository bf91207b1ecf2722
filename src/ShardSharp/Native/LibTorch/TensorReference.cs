using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>A second handle of a tensor, which keeps it alive when the first is disposed; the tensor itself, not a view of it.</summary>
internal static unsafe partial class TensorReference
{
    private const string LibTorch = "torch_cpu";

    /// <summary>Makes a handle that belongs to no dispose scope.</summary>
    public static Tensor Of(Tensor tensor)
    {
        nint handle;
        if (CloneHandle(tensor.Handle, &handle) != 0)
            throw new InvalidOperationException("libtorch makes no second handle of a tensor.");
        GC.KeepAlive(tensor);
        return Tensor.UnsafeCreateTensor(handle).DetachFromDisposeScope();
    }

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int CloneHandle(nint tensor, nint* clone);
}
