using System.Collections.Concurrent;
using ShardSharp.Native;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>NCCL as one rank sees it, without a GPU: records calls, and does them on memory of the host.</summary>
/// <param name="cliques">The communicators of all ranks, by their ids.</param>
/// <param name="gpu">The rank's GPU.</param>
internal sealed unsafe class FakeNccl(ConcurrentDictionary<Guid, FakeClique> cliques, FakeGpu gpu) : INcclEntryPoints, IDisposable
{
    private readonly ConcurrentDictionary<nint, (FakeClique Clique, int Rank)> _open = new();
    private readonly ConcurrentDictionary<nint, bool> _finalized = new();
    private readonly ThreadLocal<List<(nint Communicator, nint Stream, FakeCall Call)>?> _group = new();
    private int _communicators;

    /// <summary>What the rank is told of the health of its communicators.</summary>
    public NcclResult Health { get; set; }

    /// <summary>Whether calls never come to an end, as when a GPU is lost.</summary>
    public bool IsStalled { get; set; }

    /// <summary>What queueing a collective returns.</summary>
    public NcclResult Answer { get; init; }

    /// <summary>Communicators that were neither destroyed nor given up.</summary>
    public int Unreleased => _open.Count;

    /// <summary>Communicators that were given up.</summary>
    public int Aborted { get; private set; }

    public NcclResult GetVersion(int* version)
    {
        *version = 22602;
        return NcclResult.Success;
    }

    public string GetErrorString(NcclResult result) => $"fake {result}";

    public string GetLastError(nint communicator) => "as the test wants it";

    public NcclResult GetUniqueId(NcclUniqueId* id)
    {
        Span<byte> bytes = stackalloc byte[NcclUniqueId.Size];
        Guid.NewGuid().TryWriteBytes(bytes);
        *id = NcclUniqueId.From(bytes);
        return NcclResult.Success;
    }

    public NcclResult CommInitRankConfig(nint* communicator, int ranks, NcclUniqueId id, int rank, NcclConfiguration* configuration)
    {
        var clique = cliques.GetOrAdd(new Guid(id.ToArray().AsSpan(0, 16)), _ => new FakeClique(ranks));
        *communicator = Interlocked.Increment(ref _communicators);
        gpu.Note($"ncclCommInitRankConfig {*communicator}: rank {rank} of {ranks}");
        _open[*communicator] = (clique, rank);
        clique.Join(rank);
        return NcclResult.InProgress;
    }

    public NcclResult CommGetAsyncError(nint communicator, NcclResult* result)
    {
        var clique = _open[communicator].Clique;
        *result = Health != NcclResult.Success ? Health
            : clique.IsWhole && (clique.IsEmpty || !_finalized.ContainsKey(communicator)) ? NcclResult.Success
            : NcclResult.InProgress;
        return NcclResult.Success;
    }

    public NcclResult CommFinalize(nint communicator)
    {
        _finalized[communicator] = true;
        _open[communicator].Clique.Leave(_open[communicator].Rank);
        return NcclResult.InProgress;
    }

    public NcclResult CommDestroy(nint communicator)
    {
        gpu.Note($"ncclCommDestroy {communicator}");
        Assert.True(_open.TryRemove(communicator, out _));
        return NcclResult.Success;
    }

    public NcclResult CommAbort(nint communicator)
    {
        gpu.Note($"ncclCommAbort {communicator}");
        Assert.True(_open.TryRemove(communicator, out var member));
        Aborted++;
        member.Clique.Abort(member.Rank);
        return NcclResult.Success;
    }

    public NcclResult AllReduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, nint communicator, nint stream) =>
        Take(new FakeCall("ncclAllReduce", (nint)input, (nint)output, (long)count, type, reduction), communicator, stream);

    public NcclResult ReduceScatter(
        void* input, void* output, nuint outputCount, NcclElementType type, NcclReduction reduction, nint communicator, nint stream) =>
        Take(new FakeCall("ncclReduceScatter", (nint)input, (nint)output, (long)outputCount, type, reduction), communicator, stream);

    public NcclResult Reduce(
        void* input, void* output, nuint count, NcclElementType type, NcclReduction reduction, int root, nint communicator, nint stream) =>
        Take(new FakeCall("ncclReduce", (nint)input, (nint)output, (long)count, type, reduction, root), communicator, stream);

    public NcclResult AllGather(void* input, void* output, nuint inputCount, NcclElementType type, nint communicator, nint stream) =>
        Take(new FakeCall("ncclAllGather", (nint)input, (nint)output, (long)inputCount, type), communicator, stream);

    public NcclResult Broadcast(void* input, void* output, nuint count, NcclElementType type, int root, nint communicator, nint stream) =>
        Take(new FakeCall("ncclBroadcast", (nint)input, (nint)output, (long)count, type, Peer: root), communicator, stream);

    public NcclResult Send(void* input, nuint count, NcclElementType type, int peer, nint communicator, nint stream) =>
        Take(new FakeCall("ncclSend", (nint)input, 0, (long)count, type, Peer: peer), communicator, stream);

    public NcclResult Receive(void* output, nuint count, NcclElementType type, int peer, nint communicator, nint stream) =>
        Take(new FakeCall("ncclRecv", 0, (nint)output, (long)count, type, Peer: peer), communicator, stream);

    public NcclResult GroupStart()
    {
        gpu.Note("ncclGroupStart");
        _group.Value = [];
        return NcclResult.Success;
    }

    public NcclResult GroupEnd()
    {
        gpu.Note("ncclGroupEnd");
        var calls = _group.Value!;
        _group.Value = null;
        foreach (var ofOne in calls.GroupBy(call => (call.Communicator, call.Stream)))
            Queue(ofOne.Key.Communicator, ofOne.Key.Stream, [.. ofOne.Select(call => call.Call)]);
        return NcclResult.InProgress;
    }

    public void Dispose() => _group.Dispose();

    private NcclResult Take(FakeCall call, nint communicator, nint stream)
    {
        gpu.Note($"{call} on {communicator}, {FakeGpu.NameOf(stream)}");
        if (Answer != NcclResult.Success)
            return Answer;
        if (_group.Value is { } group)
            group.Add((communicator, stream, call));
        else
            Queue(communicator, stream, [call]);
        return NcclResult.Success;
    }

    private void Queue(nint communicator, nint stream, FakeCall[] calls)
    {
        var (clique, rank) = _open[communicator];
        gpu.Queue(stream, IsStalled ? () => clique.Hang(rank) : () => clique.Run(rank, calls));
    }
}
