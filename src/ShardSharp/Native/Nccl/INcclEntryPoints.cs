namespace ShardSharp.Native;

/// <summary>The functions of NCCL that are used here (nccl.h); a test puts a recording fake in their place.</summary>
/// <remarks>Counts are elements; communicators and streams are handles; what a function returns may be <c>InProgress</c>.</remarks>
internal unsafe interface INcclEntryPoints
{
    NcclResult GetVersion(int* version);

    string GetErrorString(NcclResult result);

    /// <summary>What NCCL noted about the last error of a communicator.</summary>
    string GetLastError(nint communicator);

    NcclResult GetUniqueId(NcclUniqueId* id);

    NcclResult CommInitRankConfig(nint* communicator, int ranks, NcclUniqueId id, int rank, NcclConfiguration* configuration);

    NcclResult CommGetAsyncError(nint communicator, NcclResult* result);

    NcclResult CommFinalize(nint communicator);

    NcclResult CommDestroy(nint communicator);

    NcclResult CommAbort(nint communicator);

    NcclResult AllReduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, nint communicator, nint stream);

    NcclResult ReduceScatter(
        void* input, void* output, nuint outputCount, NcclElementType type, NcclReduction reduction, nint communicator, nint stream);

    NcclResult Reduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, int root, nint communicator, nint stream);

    NcclResult AllGather(void* input, void* output, nuint inputCount, NcclElementType type, nint communicator, nint stream);

    NcclResult Broadcast(void* input, void* output, nuint count, NcclElementType type, int root, nint communicator, nint stream);

    NcclResult Send(void* input, nuint count, NcclElementType type, int peer, nint communicator, nint stream);

    NcclResult Receive(void* output, nuint count, NcclElementType type, int peer, nint communicator, nint stream);

    NcclResult GroupStart();

    NcclResult GroupEnd();
}
