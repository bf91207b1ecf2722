using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The CUDA driver of this host, initialised.</summary>
/// <remarks>
/// The driver rather than the CUDA runtime: every host with a GPU has it under one name, while libtorch brings a runtime with a name of its
/// own. Streams and events of both are the same, and so are their contexts (CUDA Driver API, "Interactions with the CUDA Runtime API").
/// </remarks>
internal sealed unsafe class CudaDriver
{
    private const string File = "libcuda.so.1";

    /// <param name="entryPoints">The driver's functions.</param>
    /// <exception cref="CudaException">The driver cannot be used.</exception>
    public CudaDriver(CudaEntryPoints entryPoints)
    {
        EntryPoints = entryPoints;
        Check(entryPoints.Initialize(0), "cuInit");
        int count;
        Check(entryPoints.GetDeviceCount(&count), "cuDeviceGetCount");
        DeviceCount = count;
    }

    public CudaEntryPoints EntryPoints { get; }

    /// <summary>Devices that this process sees, which CUDA_VISIBLE_DEVICES can restrict.</summary>
    public int DeviceCount { get; }

    /// <summary>Loads the driver; loading it again gives the same one.</summary>
    /// <exception cref="CudaException">There is none, or it cannot be used.</exception>
    public static CudaDriver Load()
    {
        if (!NativeLibrary.TryLoad(File, out var library))
            throw new CudaException($"There is no CUDA driver ({File}). Install the driver of the NVIDIA GPU, or run on the CPU.");
        return new CudaDriver(new CudaEntryPoints(name => NativeLibrary.TryGetExport(library, name, out var address)
            ? address
            : throw new CudaException($"The CUDA driver ({File}) has no {name}: it is older than CUDA 11.4. Install a newer driver.")));
    }

    /// <summary>Throws where a function reported an error.</summary>
    public void Check(int code, string function)
    {
        if (code == 0)
            return;
        byte* text = null;
        _ = EntryPoints.GetErrorString(code, &text);
        throw new CudaException($"{function} failed: {Marshal.PtrToStringUTF8((nint)text) ?? "an unknown error"} ({code}).");
    }
}
