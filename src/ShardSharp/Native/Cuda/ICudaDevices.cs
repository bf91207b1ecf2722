using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>The GPUs of this process.</summary>
internal interface ICudaDevices
{
    /// <summary>The device that a tensor's memory belongs to; null for a tensor on the CPU.</summary>
    int? IndexOf(Tensor tensor);

    /// <summary>A device by its index, the same object each time.</summary>
    /// <exception cref="CudaException">There is no such device, or the driver refuses.</exception>
    ICudaDevice Open(int index);
}
