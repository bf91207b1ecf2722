using System.Runtime.InteropServices;
using TorchSharp;

namespace ShardSharp.Native;

/// <summary>Where libtorch queues its work for a GPU: torch/csrc/inductor/aoti_torch/c/shim.h of a libtorch built for CUDA.</summary>
internal sealed unsafe class TorchStreams
{
    public const string File = "libtorch_cuda.so";

    private readonly delegate* unmanaged<int, nint*, int> _current;
    private readonly delegate* unmanaged<nint, int, nint*, int> _redirect;
    private readonly delegate* unmanaged<nint, int> _restore;

    /// <param name="find">Address of an exported function by its name; throws where there is none.</param>
    public TorchStreams(Func<string, nint> find)
    {
        _current = (delegate* unmanaged<int, nint*, int>)find("aoti_torch_get_current_cuda_stream");
        _redirect = (delegate* unmanaged<nint, int, nint*, int>)find("aoti_torch_create_cuda_stream_guard");
        _restore = (delegate* unmanaged<nint, int>)find("aoti_torch_delete_cuda_stream_guard");
    }

    /// <summary>Finds them in the libtorch that this process has loaded.</summary>
    /// <exception cref="CudaException">It is built for the CPU alone.</exception>
    public static TorchStreams OfThisProcess()
    {
        TorchLibrary.Load();

        // TorchSharp loads what of libtorch is for CUDA only when asked to.
        _ = torch.TryInitializeDeviceType(DeviceType.CUDA);
        if (LoadedLibraries.Find(File) is not { } path || !NativeLibrary.TryLoad(path, out var library))
        {
            throw new CudaException(
                $"This application's libtorch is built for the CPU: {File} is not loaded. Reference libtorch-cuda-12.8-linux-x64 "
                + $"{TorchInstallation.LibTorchVersion} (or TorchSharp-cuda-linux) instead of the package for the CPU.");
        }

        return new TorchStreams(name => NativeLibrary.TryGetExport(library, name, out var address)
            ? address
            : throw new CudaException($"{path} has no {name}; ShardSharp is made for libtorch {TorchInstallation.LibTorchVersion}."));
    }

    /// <summary>The stream to which the work of the calling thread goes; 0 is the default stream.</summary>
    public nint Current(int device)
    {
        nint stream;
        Check(_current(device, &stream));
        return stream;
    }

    /// <summary>Has the work of the calling thread go to another stream until the result is disposed, on the same thread.</summary>
    public IDisposable Redirect(nint stream, int device)
    {
        nint guard;
        Check(_redirect(stream, device, &guard));
        return new Redirection(this, guard);
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new CudaException("libtorch does not tell, or take, the CUDA stream that a thread works on.");
    }

    private sealed class Redirection(TorchStreams streams, nint guard) : IDisposable
    {
        public void Dispose() => Check(streams._restore(guard));
    }
}
