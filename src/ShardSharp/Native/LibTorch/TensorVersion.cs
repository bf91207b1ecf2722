using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>Counts how often a tensor was written in place, as autograd does: <c>aten::_version</c>, which TorchSharp does not bind.</summary>
internal static class TensorVersion
{
    public static long Of(Tensor tensor)
    {
        Span<ulong> stack = stackalloc ulong[1];
        var call = new DispatcherCall(stack);
        call.Push(tensor);
        call.Invoke("aten::_version\0"u8, "\0"u8);
        return (long)stack[0];
    }
}
