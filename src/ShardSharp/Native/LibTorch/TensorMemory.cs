using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>
/// Tensors as memory: the address of a tensor's first element, and tensors over memory that is already there. Through libtorch's stable C
/// interface (torch/csrc/inductor/aoti_torch/c/shim.h), for which a TorchSharp handle is a tensor handle.
/// </summary>
internal static partial class TensorMemory
{
    private const string LibTorch = "torch_cpu";

    /// <summary>
    /// The address of the first element, a view's storage offset included; 0 for a tensor without elements. It is valid as long as the
    /// tensor's storage lives: keep the tensor alive while using it.
    /// </summary>
    /// <exception cref="InvalidOperationException">The tensor has no storage (a sparse or meta tensor, for example).</exception>
    public static nint DataPointer(Tensor tensor)
    {
        var error = GetDataPointer(tensor.Handle, out var pointer);
        GC.KeepAlive(tensor);
        return error == 0 ? pointer : throw new InvalidOperationException($"The tensor {tensor} has no memory of its own.");
    }

    /// <summary>What communication has to know of a tensor.</summary>
    /// <exception cref="InvalidOperationException">libtorch does not tell.</exception>
    public static unsafe TensorFacts FactsOf(Tensor tensor)
    {
        int type, device, layout;
        long elements;
        byte isContiguous = 0;
        var handle = tensor.Handle;
        var error = GetType(handle, &type) | GetDeviceType(handle, &device) | GetLayout(handle, &layout) | GetElements(handle, &elements);
        const int Strided = 0;
        if (error == 0 && layout == Strided)
            error = GetIsContiguous(handle, &isContiguous);
        GC.KeepAlive(tensor);
        return error == 0
            ? new TensorFacts((ScalarType)type, (TorchSharp.DeviceType)device, elements, IsStrided: layout == Strided, isContiguous != 0)
            : throw new InvalidOperationException($"The tensor {tensor} cannot be communicated.");
    }

    /// <summary>The tensor's length along each dimension, in libtorch's own memory: read it while the tensor lives and keeps its shape.</summary>
    /// <exception cref="InvalidOperationException">The tensor has been disposed.</exception>
    public static unsafe ReadOnlySpan<long> Shape(Tensor tensor)
    {
        long dimensions;
        long* sizes;
        var handle = tensor.Handle;
        if (GetDimensions(handle, &dimensions) != 0 || GetSizes(handle, &sizes) != 0)
            throw new InvalidOperationException("The tensor has no shape: it has been disposed.");
        return new ReadOnlySpan<long>(sizes, (int)dimensions);
    }

    /// <summary>
    /// A contiguous CPU tensor over memory the caller owns, without copying. Nothing frees that memory when the tensor is disposed; it must
    /// outlive the tensor and every view of it.
    /// </summary>
    /// <param name="data">The first element, aligned for <paramref name="dtype"/>; not 0.</param>
    /// <param name="sizes">The tensor's shape; none of it negative.</param>
    /// <param name="dtype">The type of the elements.</param>
    /// <exception cref="ArgumentException">There is no such memory, shape or type.</exception>
    public static unsafe Tensor FromPointer(nint data, ReadOnlySpan<long> sizes, ScalarType dtype)
    {
        // libtorch takes a null pointer for an order to allocate.
        ArgumentOutOfRangeException.ThrowIfZero(data);
        Span<long> strides = stackalloc long[sizes.Length];
        long stride = 1;
        for (var i = sizes.Length - 1; i >= 0; i--)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(sizes[i], nameof(sizes));
            strides[i] = stride;
            stride *= Math.Max(sizes[i], 1);
        }

        fixed (long* size = sizes, step = strides)
        {
            // ScalarType and DeviceType have c10's own numbers.
            const int Cpu = (int)TorchSharp.DeviceType.CPU;
            var error = CreateTensorFromBlob(
                data, sizes.Length, size, step, storageOffset: 0, (int)dtype, Cpu, deviceIndex: 0, out var handle);
            return error == 0
                ? Tensor.UnsafeCreateTensor(handle)
                : throw new ArgumentException(
                    $"libtorch makes no tensor of shape [{string.Join(", ", sizes.ToArray())}] and type {dtype}.", nameof(dtype));
        }
    }

    // Memory that is copied when it is written first would be copied here, which may take a while.
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_data_ptr")]
    private static partial int GetDataPointer(nint tensor, out nint data);

    // These read a field or two: telling the garbage collector about each would take longer.
    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_dtype")]
    private static unsafe partial int GetType(nint tensor, int* type);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_device_type")]
    private static unsafe partial int GetDeviceType(nint tensor, int* type);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_layout")]
    private static unsafe partial int GetLayout(nint tensor, int* layout);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_numel")]
    private static unsafe partial int GetElements(nint tensor, long* elements);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_is_contiguous")]
    private static unsafe partial int GetIsContiguous(nint tensor, byte* isContiguous);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_dim")]
    private static unsafe partial int GetDimensions(nint tensor, long* dimensions);

    [SuppressGCTransition]
    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_get_sizes")]
    private static unsafe partial int GetSizes(nint tensor, long** sizes);

    [LibraryImport(LibTorch, EntryPoint = "aoti_torch_create_tensor_from_blob")]
    private static unsafe partial int CreateTensorFromBlob(
        nint data, long dimensions, long* sizes, long* strides, long storageOffset, int dtype, int deviceType, int deviceIndex,
        out nint tensor);
}
