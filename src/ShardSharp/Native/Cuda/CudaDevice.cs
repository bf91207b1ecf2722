namespace ShardSharp.Native;

/// <summary>A real GPU, through the driver and libtorch.</summary>
internal sealed unsafe class CudaDevice : ICudaDevice
{
    // cuda.h: CU_STREAM_NON_BLOCKING, CU_EVENT_DISABLE_TIMING, CU_MEMHOSTALLOC_PORTABLE, CUDA_ERROR_NOT_READY.
    private const uint NonBlocking = 1;
    private const uint WithoutTime = 2;
    private const uint Portable = 1;
    private const int NotReady = 600;

    private readonly CudaDriver _driver;
    private readonly CudaEntryPoints _cuda;
    private readonly TorchStreams _streams;
    private readonly nint _context;

    public CudaDevice(CudaDriver driver, TorchStreams streams, int index)
    {
        (_driver, _cuda, _streams, Index) = (driver, driver.EntryPoints, streams, index);
        if (index >= driver.DeviceCount)
        {
            throw new CudaException(
                $"There is no device cuda:{index}; this process sees {driver.DeviceCount} (CUDA_VISIBLE_DEVICES = "
                + $"{Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") ?? "not set"}).");
        }

        int device;
        nint context;
        Guid identity;
        driver.Check(_cuda.GetDevice(&device, index), "cuDeviceGet");
        driver.Check(_cuda.GetUuid(&identity, device), "cuDeviceGetUuid");

        // The context that libtorch and NCCL use too. It is never released: the process keeps it.
        driver.Check(_cuda.RetainPrimaryContext(&context, device), "cuDevicePrimaryCtxRetain");
        (_context, Identity) = (context, $"GPU-{Convert.ToHexStringLower(new ReadOnlySpan<byte>(&identity, sizeof(Guid)))}");
    }

    public int Index { get; }

    public string Identity { get; }

    public nint CurrentStream => _streams.Current(Index);

    public IDisposable Redirect(nint stream) => _streams.Redirect(stream, Index);

    public nint CreateStream()
    {
        MakeCurrent();
        nint stream;
        _driver.Check(_cuda.CreateStream(&stream, NonBlocking), "cuStreamCreate");
        return stream;
    }

    public void DestroyStream(nint stream)
    {
        MakeCurrent();
        _driver.Check(_cuda.DestroyStream(stream), "cuStreamDestroy");
    }

    public nint CreateEvent()
    {
        MakeCurrent();
        nint mark;
        _driver.Check(_cuda.CreateEvent(&mark, WithoutTime), "cuEventCreate");
        return mark;
    }

    public void DestroyEvent(nint mark)
    {
        MakeCurrent();
        _driver.Check(_cuda.DestroyEvent(mark), "cuEventDestroy");
    }

    public void Record(nint mark, nint stream)
    {
        MakeCurrent();
        _driver.Check(_cuda.RecordEvent(mark, stream), "cuEventRecord");
    }

    public void Wait(nint stream, nint mark)
    {
        MakeCurrent();
        _driver.Check(_cuda.WaitEvent(stream, mark, 0), "cuStreamWaitEvent");
    }

    public bool IsDone(nint mark)
    {
        MakeCurrent();
        var state = _cuda.QueryEvent(mark);
        if (state != NotReady)
            _driver.Check(state, "cuEventQuery");
        return state == 0;
    }

    public void Synchronize(nint mark)
    {
        MakeCurrent();
        _driver.Check(_cuda.SynchronizeEvent(mark), "cuEventSynchronize");
    }

    public void Copy(byte* destination, byte* source, long bytes, nint stream)
    {
        MakeCurrent();
        _driver.Check(_cuda.Copy(destination, source, (nuint)bytes, stream), "cuMemcpyAsync");
    }

    public byte* AllocatePinned(long bytes)
    {
        MakeCurrent();
        void* memory;
        _driver.Check(_cuda.AllocatePinned(&memory, (nuint)bytes, Portable), "cuMemHostAlloc");
        return (byte*)memory;
    }

    public void FreePinned(byte* memory)
    {
        MakeCurrent();
        _driver.Check(_cuda.FreePinned(memory), "cuMemFreeHost");
    }

    // The default stream, which is libtorch's unless told otherwise, is that of the thread's current context.
    private void MakeCurrent() => _driver.Check(_cuda.SetContext(_context), "cuCtxSetCurrent");
}
