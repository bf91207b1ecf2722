namespace ShardSharp.Native;

/// <summary>The functions of the CUDA driver that are used here (CUDA Driver API, cuda.h), all of them there since CUDA 11.4.</summary>
/// <param name="find">Address of an exported function by its name; throws where there is none.</param>
internal sealed unsafe class CudaEntryPoints(Func<string, nint> find)
{
    public delegate* unmanaged<uint, int> Initialize { get; } = (delegate* unmanaged<uint, int>)find("cuInit");

    public delegate* unmanaged<int, byte**, int> GetErrorString { get; } = (delegate* unmanaged<int, byte**, int>)find("cuGetErrorString");

    public delegate* unmanaged<int*, int> GetDeviceCount { get; } = (delegate* unmanaged<int*, int>)find("cuDeviceGetCount");

    public delegate* unmanaged<int*, int, int> GetDevice { get; } = (delegate* unmanaged<int*, int, int>)find("cuDeviceGet");

    /// <summary>The second version tells the parts of a divided GPU (MIG) apart.</summary>
    public delegate* unmanaged<Guid*, int, int> GetUuid { get; } = (delegate* unmanaged<Guid*, int, int>)find("cuDeviceGetUuid_v2");

    public delegate* unmanaged<nint*, int, int> RetainPrimaryContext { get; } =
        (delegate* unmanaged<nint*, int, int>)find("cuDevicePrimaryCtxRetain");

    public delegate* unmanaged<nint, int> SetContext { get; } = (delegate* unmanaged<nint, int>)find("cuCtxSetCurrent");

    public delegate* unmanaged<nint*, uint, int> CreateStream { get; } = (delegate* unmanaged<nint*, uint, int>)find("cuStreamCreate");

    public delegate* unmanaged<nint, int> DestroyStream { get; } = (delegate* unmanaged<nint, int>)find("cuStreamDestroy_v2");

    /// <summary>stream, event, flags.</summary>
    public delegate* unmanaged<nint, nint, uint, int> WaitEvent { get; } =
        (delegate* unmanaged<nint, nint, uint, int>)find("cuStreamWaitEvent");

    public delegate* unmanaged<nint*, uint, int> CreateEvent { get; } = (delegate* unmanaged<nint*, uint, int>)find("cuEventCreate");

    public delegate* unmanaged<nint, int> DestroyEvent { get; } = (delegate* unmanaged<nint, int>)find("cuEventDestroy_v2");

    /// <summary>event, stream.</summary>
    public delegate* unmanaged<nint, nint, int> RecordEvent { get; } = (delegate* unmanaged<nint, nint, int>)find("cuEventRecord");

    public delegate* unmanaged<nint, int> QueryEvent { get; } = (delegate* unmanaged<nint, int>)find("cuEventQuery");

    public delegate* unmanaged<nint, int> SynchronizeEvent { get; } = (delegate* unmanaged<nint, int>)find("cuEventSynchronize");

    /// <summary>destination, source, bytes, stream.</summary>
    public delegate* unmanaged<void*, void*, nuint, nint, int> Copy { get; } =
        (delegate* unmanaged<void*, void*, nuint, nint, int>)find("cuMemcpyAsync");

    public delegate* unmanaged<void**, nuint, uint, int> AllocatePinned { get; } =
        (delegate* unmanaged<void**, nuint, uint, int>)find("cuMemHostAlloc");

    public delegate* unmanaged<void*, int> FreePinned { get; } = (delegate* unmanaged<void*, int>)find("cuMemFreeHost");
}
