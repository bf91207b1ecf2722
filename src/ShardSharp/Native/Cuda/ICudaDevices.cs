using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>The GPUs of this process.</summary>
internal interface ICudaDevices
{
    /// <summary>The device that a tensor's memory belongs to; null where that is none of these.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="kind">The kind of device that libtorch has it on.</param>
    int? IndexOf(Tensor tensor, DeviceType kind);

    /// <summary>A device by its index, the same object each time.</summary>
    /// <exception cref="CudaException">There is no such device, or the driver refuses.</exception>
    ICudaDevice Open(int index);
}
