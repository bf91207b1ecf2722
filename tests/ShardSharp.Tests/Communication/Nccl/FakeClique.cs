using ShardSharp.Communication;
using ShardSharp.Communication.Reductions;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>The ranks of one communicator: where their calls meet.</summary>
/// <remarks>As with the real library, calls that do not fit each other hang until the communicator is given up.</remarks>
internal sealed unsafe class FakeClique(int size)
{
    private readonly object _lock = new();
    private readonly bool[] _joined = new bool[size];
    private readonly bool[] _left = new bool[size];
    private readonly bool[] _aborted = new bool[size];
    private readonly int[] _rounds = new int[size];
    private readonly Dictionary<int, FakeCall?[]> _collectives = [];
    private readonly HashSet<int> _done = [];
    private readonly Dictionary<(int From, int To), Queue<(FakeCall Call, TaskCompletionSource Taken)>> _messages = [];

    public bool IsWhole => Locked(() => _joined.All(joined => joined));

    public bool IsEmpty => Locked(() => _left.All(left => left));

    public void Join(int rank) => Change(() => _joined[rank] = true);

    public void Leave(int rank) => Change(() => _left[rank] = true);

    public void Abort(int rank) => Change(() => _aborted[rank] = true);

    /// <summary>Does calls that were given as one, on a stream's thread.</summary>
    public void Run(int rank, IReadOnlyList<FakeCall> calls)
    {
        var sent = calls.Where(call => call.Name == "ncclSend").Select(call => Send(rank, call)).ToList();
        foreach (var call in calls.Where(call => call.Name == "ncclRecv"))
            WaitUntil(rank, () => TryReceive(rank, call));
        foreach (var taken in sent)
            WaitUntil(rank, () => taken.IsCompleted);
        foreach (var call in calls.Where(call => !call.IsMessage))
            Meet(rank, call);
    }

    /// <summary>Does nothing until the communicator is given up.</summary>
    public void Hang(int rank) => WaitUntil(rank, () => false);

    private Task Send(int rank, FakeCall call)
    {
        var taken = new TaskCompletionSource();
        Change(() =>
        {
            if (!_messages.TryGetValue((rank, call.Peer), out var queue))
                _messages[(rank, call.Peer)] = queue = new();
            queue.Enqueue((call, taken));
        });
        return taken.Task;
    }

    private bool TryReceive(int rank, FakeCall call)
    {
        if (!_messages.TryGetValue((call.Peer, rank), out var queue) || !queue.TryPeek(out var message) || message.Call.Bytes != call.Bytes)
            return false;
        Buffer.MemoryCopy((void*)message.Call.Input, (void*)call.Output, call.Bytes, call.Bytes);
        queue.Dequeue().Taken.SetResult();
        Monitor.PulseAll(_lock);
        return true;
    }

    private void Meet(int rank, FakeCall call)
    {
        var round = _rounds[rank]++;
        Change(() =>
        {
            if (!_collectives.TryGetValue(round, out var all))
                _collectives[round] = all = new FakeCall?[size];
            all[rank] = call;
            if (!all.All(other => other is not null && other.Fits(call)))
                return;
            Move(all!);
            _done.Add(round);
        });
        WaitUntil(rank, () => _done.Contains(round));
    }

    private void Move(FakeCall[] all)
    {
        var (first, bytes) = (all[0], all[0].Bytes);
        if (first.Name == "ncclBroadcast")
        {
            foreach (var call in all)
                Copy(all[first.Peer].Input, call.Output, bytes);
            return;
        }

        var whole = first.Name is "ncclAllGather" or "ncclReduceScatter" ? bytes * size : bytes;
        var result = new byte[whole];
        fixed (byte* address = result)
        {
            if (first.Name == "ncclAllGather")
            {
                for (var rank = 0; rank < size; rank++)
                    Copy(all[rank].Input, (nint)address + (nint)(rank * bytes), bytes);
            }
            else
            {
                Reducer.Reduce(ElementType(first.Type), Operation(first.Reduction), [.. all.Select(call => call.Input)], address, whole);
            }

            for (var rank = 0; rank < size; rank++)
            {
                if (first.Name == "ncclReduceScatter")
                    Copy((nint)address + (nint)(rank * bytes), all[rank].Output, bytes);
                else if (first.Name != "ncclReduce" || rank == first.Peer)
                    Copy((nint)address, all[rank].Output, whole);
            }
        }
    }

    private static void Copy(nint source, nint destination, long bytes) => Buffer.MemoryCopy((void*)source, (void*)destination, bytes, bytes);

    private static ReduceOperation Operation(NcclReduction reduction) => reduction switch
    {
        NcclReduction.Sum => ReduceOperation.Sum,
        NcclReduction.Product => ReduceOperation.Product,
        NcclReduction.Max => ReduceOperation.Max,
        NcclReduction.Min => ReduceOperation.Min,
        _ => ReduceOperation.Mean,
    };

    private static ScalarType ElementType(NcclElementType type) => type switch
    {
        NcclElementType.Int8 => ScalarType.Int8,
        NcclElementType.UInt8 => ScalarType.Byte,
        NcclElementType.Int32 => ScalarType.Int32,
        NcclElementType.Int64 => ScalarType.Int64,
        NcclElementType.Float16 => ScalarType.Float16,
        NcclElementType.BFloat16 => ScalarType.BFloat16,
        NcclElementType.Float32 => ScalarType.Float32,
        NcclElementType.Float64 => ScalarType.Float64,
        _ => throw new NotSupportedException($"{type}"),
    };

    private void WaitUntil(int rank, Func<bool> condition)
    {
        lock (_lock)
        {
            while (!_aborted[rank] && !condition())
                Monitor.Wait(_lock);
        }
    }

    private void Change(Action change)
    {
        lock (_lock)
        {
            change();
            Monitor.PulseAll(_lock);
        }
    }

    private bool Locked(Func<bool> condition)
    {
        lock (_lock)
            return condition();
    }
}
