using System.Runtime.CompilerServices;

namespace ShardSharp.Communication;

/// <summary>A set of ranks that communicate: the one contract that every backend fulfils.</summary>
/// <remarks>
/// <para>Every rank of the group calls the same collectives in the same order with matching arguments; a difference is an immediate
/// <see cref="CollectiveMismatchException"/> on all of them. A rank that ends, or a wait past the deadline, ends the operation on all
/// ranks with an error that says who waited for whom. After an error the group is unusable.</para>
/// <para>A group belongs to one rank and is used from one thread at a time; the <c>...Async</c> operations run in the background, in the
/// order they were called, and the blocking ones never overtake them. Tensors may have any strides; contiguous ones are communicated in
/// place. Results are written into the given tensors and are not recorded by autograd.</para>
/// <para>CUDA tensors are communicated by every backend. Through NCCL, blocking operations block the GPU and not the program, and an error
/// comes with a later call, with <see cref="Work.Wait"/>, or when the group is left.</para>
/// </remarks>
public abstract partial class ProcessGroup : IDisposable
{
    private readonly WorkQueue _collectives;
    private readonly Dictionary<(CollectiveKind Direction, int Peer), WorkQueue> _channels = [];
    private FlightRecorder? _recorder;
    private GroupRecording? _recording;
    private bool _disposed;

    /// <param name="name">What the group is called in reports.</param>
    /// <param name="rank">This rank's place in the group.</param>
    /// <param name="globalRanks">World rank of every member, in group order.</param>
    /// <param name="recorder">Where the group of all ranks records calls; null for one of its own. Other groups get it from that one.</param>
    private protected ProcessGroup(string name, int rank, IReadOnlyList<int> globalRanks, FlightRecorder? recorder = null)
    {
        (Name, Rank, GlobalRanks) = (name, rank, globalRanks);
        if (recorder is not null)
            RecordIn(recorder);
        _collectives = new WorkQueue($"{name} rank {rank} collectives");
    }

    /// <summary>What the group is called in reports: <c>world</c>, <c>data</c>, ...</summary>
    public string Name { get; }

    /// <summary>This rank's place in the group, from 0.</summary>
    public int Rank { get; }

    /// <summary>Ranks in the group.</summary>
    public int Size => GlobalRanks.Count;

    /// <summary>The world rank of every member, in group order.</summary>
    public IReadOnlyList<int> GlobalRanks { get; }

    /// <summary>Divides this group into disjoint groups; every rank of this group must call it with the same partition.</summary>
    /// <param name="name">What the new groups are called in reports.</param>
    /// <param name="partition">Ranks of this group, each in exactly one part; a part's order is the rank order of its group.</param>
    /// <param name="file">Filled in by the compiler, for error reports.</param>
    /// <param name="line">Filled in by the compiler, for error reports.</param>
    /// <returns>The new group that this rank belongs to. The caller disposes it, before this one.</returns>
    /// <exception cref="ArgumentException">A rank is missing from the partition or in it twice.</exception>
    public ProcessGroup Split(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        ArgumentNullException.ThrowIfNull(partition);
        if (!partition.SelectMany(part => part).Order().SequenceEqual(Enumerable.Range(0, Size)))
        {
            var given = string.Join(" ", partition.Select(part => $"[{string.Join(",", part)}]"));
            throw new ArgumentException($"A partition of group '{Name}' needs each of its ranks 0..{Size - 1} exactly once; given {given}.");
        }

        var group = SplitOff(name, partition, new CallSite(file, line));
        group.RecordIn(Recorder);
        return group;
    }

    /// <summary>As <see cref="Split"/>, for a partition that was checked and a part that is not recorded: a piece of another group, whose
    /// calls are.</summary>
    internal ProcessGroup SplitOff(string name, IReadOnlyList<IReadOnlyList<int>> partition, CallSite site)
    {
        WaitForCollectives();
        var group = CreateSubgroup(name, partition, partition.First(part => part.Contains(Rank)), site);
        group._recorder = Recorder;
        group.Devices = Devices;
        return group;
    }

    /// <summary>Waits for this rank's background work and leaves the group. Other ranks still in an operation with it get an error.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _collectives.Dispose();
        foreach (var channel in _channels.Values)
            channel.Dispose();
        while (_stagings.TryTake(out var staging))
            staging.Dispose();
        Leave();
        GC.SuppressFinalize(this);
    }

    /// <summary>The same ranks without regard to which of them share a host, for those who want every rank to send by itself.</summary>
    internal virtual ProcessGroup WithoutHierarchy => this;

    /// <summary>Runs one operation to its end on the calling thread, for a group that this one is a part of.</summary>
    internal void Perform(in CollectiveCall call) => Execute(call with { IsPart = true });

    /// <summary>What this rank called lately, in this and its other groups.</summary>
    internal FlightRecorder Recorder => _recorder ??= FlightRecorder.Private();

    /// <summary>How long ranks waited for each other; null where that is not measured.</summary>
    internal virtual IRankDelays? Delays => null;

    /// <summary>Bytes of the buffers that collectives of this rank use at most; null where the backend does not say.</summary>
    internal virtual long? BufferBytes => null;

    /// <summary>Whether what ranks exchange fastest is memory of GPUs.</summary>
    internal virtual bool IsOfDevices => false;

    /// <summary>Whether the ranks are threads of one process.</summary>
    internal virtual bool IsWithinProcess => false;

    /// <summary>Records calls from now on where all groups of the rank do.</summary>
    internal void RecordIn(FlightRecorder recorder) => _recording = (_recorder = recorder).Open(Name, GlobalRanks);

    private GroupRecording Recording => _recording ??= Recorder.Open(Name, GlobalRanks);

    /// <summary>Runs one operation to its end on the calling thread.</summary>
    private protected abstract void Execute(in CollectiveCall call);

    /// <summary>Creates this rank's part of a partition; called by all ranks of this group together.</summary>
    private protected abstract ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site);

    /// <summary>Releases what the backend holds.</summary>
    private protected abstract void Leave();

    private void Run(in CollectiveCall call)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ThrowDeferred();
        if (_isRehearsing)
            Pretend(call);
        else if (call.Device is { } device)
            RunOnDevice(call, Devices.Open(device));
        else
            RunInTurn(call);
    }

    private Work Start(CollectiveCall call, TensorLease first, TensorLease second = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ThrowDeferred();
        if (_isRehearsing)
        {
            return _collectives.Enqueue(() =>
            {
                using (first)
                using (second)
                    Pretend(call);
            });
        }

        if (call.Device is { } device)
            return StartOnDevice(call, Devices.Open(device), first, second);
        return StartInTurn(call, () =>
        {
            first.Dispose();
            second.Dispose();
        });
    }

    /// <summary>Runs an operation to its end after those called before it: on the calling thread, if they are done.</summary>
    private protected virtual void RunInTurn(in CollectiveCall call)
    {
        var queue = QueueOf(call.Kind, call.Peer);
        if (queue is null || queue.IsIdle)
        {
            Execute(call, Recording);
            return;
        }

        RunBehind(call);
    }

    /// <summary>Apart from what is called often, which would otherwise allocate for it.</summary>
    private void RunBehind(CollectiveCall call) => FollowUp(call.Kind, call.Peer, recording => Execute(call, recording)).Wait();

    /// <summary>Runs an operation in the background after those called before it, then <paramref name="finish"/>, whether it went well or not.</summary>
    private Work StartInTurn(CollectiveCall call, Action finish) => FollowUp(call.Kind, call.Peer, recording =>
    {
        try
        {
            Execute(call with { InBackground = true }, recording);
        }
        finally
        {
            finish();
        }
    });

    /// <summary>Does something in the background after the operations of its queue that were called before it.</summary>
    private protected Work FollowUp(CollectiveKind kind, int peer, Action<GroupRecording> action)
    {
        var queue = QueueOf(kind, peer) ?? OpenChannel(kind, peer);
        var recording = Recording;
        return queue.Enqueue(() => action(recording));
    }

    private unsafe void Execute(in CollectiveCall call, GroupRecording recording)
    {
        var record = recording.Begin(call);
        var state = FlightState.Failed;
        try
        {
            if (call.Mark is null)
                Execute(call with { Sequence = record->Sequence });
            else
                ExecuteOnDevice(call with { Sequence = record->Sequence });
            state = FlightState.Completed;
        }
        finally
        {
            recording.End(record, state);
        }
    }

    /// <summary>Collectives share a queue; each direction of each pair has its own, so that a send never waits behind another's.</summary>
    private WorkQueue? QueueOf(CollectiveKind kind, int peer) =>
        kind is CollectiveKind.Send or CollectiveKind.Receive ? _channels.GetValueOrDefault((kind, peer)) : _collectives;

    private WorkQueue OpenChannel(CollectiveKind direction, int peer) =>
        _channels[(direction, peer)] = new WorkQueue($"{Name} rank {Rank} {direction} {peer}");

    private void WaitForCollectives()
    {
        if (!_collectives.IsIdle)
            _collectives.Enqueue(static () => { }).Wait();
    }
}
