using System.Runtime.InteropServices;
using System.Text;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>
/// A call of any operator of libtorch, also those TorchSharp does not bind, through the dispatcher of the stable C interface
/// (torch/csrc/stable/c/shim.h): arguments are pushed in the order of the operator's schema, none left out, and the results take their place.
/// </summary>
/// <param name="stack">Room for the arguments, and for the results if there are more of those.</param>
internal unsafe ref partial struct DispatcherCall(Span<ulong> stack)
{
    private const string LibTorch = "torch_cpu";

    private readonly Span<ulong> _stack = stack;
    private int _count;

    public void Push(Tensor tensor) => _stack[_count++] = (ulong)HandleOf(tensor);

    /// <summary>A list of tensors, empty where the operator has no use for it.</summary>
    public void Push(IReadOnlyList<Tensor> tensors)
    {
        nint list;
        Check(NewList((nuint)tensors.Count, &list), "a list of tensors");
        foreach (var tensor in tensors)
            Check(PushBack(list, (ulong)HandleOf(tensor)), "a list of tensors");
        _stack[_count++] = (ulong)list;
    }

    public void Push(double number) => _stack[_count++] = BitConverter.DoubleToUInt64Bits(number);

    public void Push(bool value) => _stack[_count++] = value ? 1u : 0u;

    /// <summary>No value for an optional argument.</summary>
    public void PushNone() => _stack[_count++] = 0;

    /// <summary>Calls the operator, which takes what was pushed.</summary>
    /// <param name="operation">Name with namespace, as "aten::_version"; ends with a zero byte.</param>
    /// <param name="overload">The overload's name; ends with a zero byte.</param>
    /// <exception cref="InvalidOperationException">The operator failed; libtorch writes why to standard error.</exception>
    public readonly void Invoke(ReadOnlySpan<byte> operation, ReadOnlySpan<byte> overload)
    {
        fixed (ulong* arguments = _stack)
        {
            fixed (byte* name = operation, variant = overload)
            {
                if (CallDispatcher(name, variant, arguments, AbiVersion()) != 0)
                {
                    throw new InvalidOperationException(
                        $"libtorch's operator {Encoding.UTF8.GetString(operation[..^1])} failed; the reason is on standard error.");
                }
            }
        }
    }

    /// <summary>The dispatcher takes ownership of the handles on its stack, so it gets ones of its own.</summary>
    private static nint HandleOf(Tensor tensor)
    {
        nint clone;
        Check(CloneHandle(tensor.Handle, &clone), "a tensor");
        GC.KeepAlive(tensor);
        return clone;
    }

    private static void Check(int error, string what)
    {
        if (error != 0)
            throw new InvalidOperationException($"libtorch does not take {what} as an argument.");
    }

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int CloneHandle(nint tensor, nint* clone);

    [LibraryImport(LibTorch, EntryPoint = "torch_new_list_reserve_size")]
    private static partial int NewList(nuint size, nint* list);

    [LibraryImport(LibTorch, EntryPoint = "torch_list_push_back")]
    private static partial int PushBack(nint list, ulong element);

    [LibraryImport(LibTorch, EntryPoint = "torch_call_dispatcher")]
    private static partial int CallDispatcher(byte* operation, byte* overload, ulong* stack, ulong abiVersion);

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_abi_version")]
    private static partial ulong AbiVersion();
}
