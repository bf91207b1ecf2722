using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>The real GPUs; driver and libtorch's part for CUDA are looked for when the first device is asked for.</summary>
internal sealed class CudaDevices : ICudaDevices
{
    private readonly Lock _opening = new();
    private readonly Dictionary<int, CudaDevice> _devices = [];
    private (CudaDriver Driver, TorchStreams Streams)? _loaded;

    /// <summary>Those of this process: like libtorch, they are the process's, not a rank's.</summary>
    public static CudaDevices OfThisProcess { get; } = new();

    public int? IndexOf(Tensor tensor, DeviceType kind) => kind == DeviceType.CUDA ? tensor.device_index : null;

    public ICudaDevice Open(int index)
    {
        lock (_opening)
        {
            if (_devices.TryGetValue(index, out var device))
                return device;
            _loaded ??= (CudaDriver.Load(), TorchStreams.OfThisProcess());
            return _devices[index] = new CudaDevice(_loaded.Value.Driver, _loaded.Value.Streams, index);
        }
    }
}
