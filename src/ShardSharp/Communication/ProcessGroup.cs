namespace ShardSharp.Communication;

/// <summary>A set of ranks that communicate: the one contract that every backend fulfils.</summary>
/// <remarks>
/// <para>Every rank of the group calls the same collectives in the same order with matching arguments; a difference is an immediate
/// <see cref="CollectiveMismatchException"/> on all of them. A rank that ends, or a wait past the deadline, ends the operation on all
/// ranks with an error that says who waited for whom. After an error the group is unusable.</para>
/// <para>A group belongs to one rank and is used from one thread at a time; the <c>...Async</c> operations run in the background, in the
/// order they were called, and the blocking ones never overtake them. Tensors may have any strides; contiguous ones are communicated in
/// place. Results are written into the given tensors and are not recorded by autograd.</para>
/// </remarks>
public abstract partial class ProcessGroup : IDisposable
{
    private readonly WorkQueue _collectives;
    private readonly Dictionary<(CollectiveKind Direction, int Peer), WorkQueue> _channels = [];
    private GroupRecording? _recording;
    private bool _disposed;

    /// <param name="name">What the group is called in reports.</param>
    /// <param name="rank">This rank's place in the group.</param>
    /// <param name="globalRanks">World rank of every member, in group order.</param>
    /// <param name="recorder">Where the group of all ranks records calls; null for one of its own. Other groups get it from that one.</param>
    private protected ProcessGroup(string name, int rank, IReadOnlyList<int> globalRanks, FlightRecorder? recorder = null)
    {
        (Name, Rank, GlobalRanks) = (name, rank, globalRanks);
        _recording = recorder?.Open(name, globalRanks);
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
    /// <returns>The new group that this rank belongs to. The caller disposes it, before this one.</returns>
    /// <exception cref="ArgumentException">A rank is missing from the partition or in it twice.</exception>
    public ProcessGroup Split(string name, IReadOnlyList<IReadOnlyList<int>> partition)
    {
        ArgumentNullException.ThrowIfNull(partition);
        if (!partition.SelectMany(part => part).Order().SequenceEqual(Enumerable.Range(0, Size)))
        {
            var given = string.Join(" ", partition.Select(part => $"[{string.Join(",", part)}]"));
            throw new ArgumentException($"A partition of group '{Name}' needs each of its ranks 0..{Size - 1} exactly once; given {given}.");
        }

        WaitForCollectives();
        var mine = partition.First(part => part.Contains(Rank));
        var group = CreateSubgroup(name, partition, mine);
        group.Devices = Devices;
        group._recording = Recorder.Open(name, group.GlobalRanks);
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

    /// <summary>Runs one operation to its end on the calling thread, for a group that this one is a part of.</summary>
    internal void Perform(in CollectiveCall call) => Execute(call);

    /// <summary>What this rank called lately, in this and its other groups.</summary>
    internal FlightRecorder Recorder => Recording.Recorder;

    /// <summary>How long ranks waited for each other; null where that is not measured.</summary>
    internal virtual Local.RankDelays? Delays => null;

    private GroupRecording Recording => _recording ??= FlightRecorder.Private().Open(Name, GlobalRanks);

    /// <summary>Runs one operation to its end on the calling thread.</summary>
    private protected abstract void Execute(in CollectiveCall call);

    /// <summary>Creates this rank's part of a partition; called by all ranks of this group together.</summary>
    private protected abstract ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine);

    /// <summary>Releases what the backend holds.</summary>
    private protected abstract void Leave();

    private void Run(in CollectiveCall call)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (call.Device is { } device)
            RunOnDevice(call, Devices.Open(device));
        else
            RunInTurn(call);
    }

    private Work Start(CollectiveCall call, TensorLease first, TensorLease second = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
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

        var behind = call;
        FollowUp(call.Kind, call.Peer, recording => Execute(behind, recording)).Wait();
    }

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
                Execute(call);
            else
                ExecuteOnDevice(call);
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
