using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The functions of a real NCCL library.</summary>
/// <param name="find">Address of an exported function by its name; throws where there is none.</param>
internal sealed unsafe class NcclEntryPoints(Func<string, nint> find) : INcclEntryPoints
{
    private readonly delegate* unmanaged<int*, NcclResult> _getVersion = (delegate* unmanaged<int*, NcclResult>)find("ncclGetVersion");

    private readonly delegate* unmanaged<NcclResult, byte*> _getErrorString =
        (delegate* unmanaged<NcclResult, byte*>)find("ncclGetErrorString");

    private readonly delegate* unmanaged<nint, byte*> _getLastError = (delegate* unmanaged<nint, byte*>)find("ncclGetLastError");

    private readonly delegate* unmanaged<NcclUniqueId*, NcclResult> _getUniqueId =
        (delegate* unmanaged<NcclUniqueId*, NcclResult>)find("ncclGetUniqueId");

    private readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfiguration*, NcclResult> _initialize =
        (delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfiguration*, NcclResult>)find("ncclCommInitRankConfig");

    private readonly delegate* unmanaged<nint, NcclResult*, NcclResult> _getAsyncError =
        (delegate* unmanaged<nint, NcclResult*, NcclResult>)find("ncclCommGetAsyncError");

    private readonly delegate* unmanaged<nint, NcclResult> _finalize = (delegate* unmanaged<nint, NcclResult>)find("ncclCommFinalize");

    private readonly delegate* unmanaged<nint, NcclResult> _destroy = (delegate* unmanaged<nint, NcclResult>)find("ncclCommDestroy");

    private readonly delegate* unmanaged<nint, NcclResult> _abort = (delegate* unmanaged<nint, NcclResult>)find("ncclCommAbort");

    private readonly delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, nint, nint, NcclResult> _allReduce =
        (delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, nint, nint, NcclResult>)find("ncclAllReduce");

    private readonly delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, nint, nint, NcclResult> _reduceScatter =
        (delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, nint, nint, NcclResult>)find("ncclReduceScatter");

    private readonly delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, int, nint, nint, NcclResult> _reduce =
        (delegate* unmanaged<void*, void*, nuint, NcclElementType, NcclReduction, int, nint, nint, NcclResult>)find("ncclReduce");

    private readonly delegate* unmanaged<void*, void*, nuint, NcclElementType, nint, nint, NcclResult> _allGather =
        (delegate* unmanaged<void*, void*, nuint, NcclElementType, nint, nint, NcclResult>)find("ncclAllGather");

    private readonly delegate* unmanaged<void*, void*, nuint, NcclElementType, int, nint, nint, NcclResult> _broadcast =
        (delegate* unmanaged<void*, void*, nuint, NcclElementType, int, nint, nint, NcclResult>)find("ncclBroadcast");

    private readonly delegate* unmanaged<void*, nuint, NcclElementType, int, nint, nint, NcclResult> _send =
        (delegate* unmanaged<void*, nuint, NcclElementType, int, nint, nint, NcclResult>)find("ncclSend");

    private readonly delegate* unmanaged<void*, nuint, NcclElementType, int, nint, nint, NcclResult> _receive =
        (delegate* unmanaged<void*, nuint, NcclElementType, int, nint, nint, NcclResult>)find("ncclRecv");

    private readonly delegate* unmanaged<NcclResult> _groupStart = (delegate* unmanaged<NcclResult>)find("ncclGroupStart");

    private readonly delegate* unmanaged<NcclResult> _groupEnd = (delegate* unmanaged<NcclResult>)find("ncclGroupEnd");

    public NcclResult GetVersion(int* version) => _getVersion(version);

    public string GetErrorString(NcclResult result) => Marshal.PtrToStringUTF8((nint)_getErrorString(result)) ?? result.ToString();

    public string GetLastError(nint communicator) => Marshal.PtrToStringUTF8((nint)_getLastError(communicator)) ?? "";

    public NcclResult GetUniqueId(NcclUniqueId* id) => _getUniqueId(id);

    public NcclResult CommInitRankConfig(nint* communicator, int ranks, NcclUniqueId id, int rank, NcclConfiguration* configuration) =>
        _initialize(communicator, ranks, id, rank, configuration);

    public NcclResult CommGetAsyncError(nint communicator, NcclResult* result) => _getAsyncError(communicator, result);

    public NcclResult CommFinalize(nint communicator) => _finalize(communicator);

    public NcclResult CommDestroy(nint communicator) => _destroy(communicator);

    public NcclResult CommAbort(nint communicator) => _abort(communicator);

    public NcclResult AllReduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, nint communicator, nint stream) =>
        _allReduce(input, output, count, type, reduction, communicator, stream);

    public NcclResult ReduceScatter(
        void* input, void* output, nuint outputCount, NcclElementType type, NcclReduction reduction, nint communicator, nint stream) =>
        _reduceScatter(input, output, outputCount, type, reduction, communicator, stream);

    public NcclResult Reduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, int root, nint communicator, nint stream) =>
        _reduce(input, output, count, type, reduction, root, communicator, stream);

    public NcclResult AllGather(void* input, void* output, nuint inputCount, NcclElementType type, nint communicator, nint stream) =>
        _allGather(input, output, inputCount, type, communicator, stream);

    public NcclResult Broadcast(void* input, void* output, nuint count, NcclElementType type, int root, nint communicator, nint stream) =>
        _broadcast(input, output, count, type, root, communicator, stream);

    public NcclResult Send(void* input, nuint count, NcclElementType type, int peer, nint communicator, nint stream) =>
        _send(input, count, type, peer, communicator, stream);

    public NcclResult Receive(void* output, nuint count, NcclElementType type, int peer, nint communicator, nint stream) =>
        _receive(output, count, type, peer, communicator, stream);

    public NcclResult GroupStart() => _groupStart();

    public NcclResult GroupEnd() => _groupEnd();
}
