using System.Diagnostics;
using ShardSharp.Communication;
using ShardSharp.Pipeline.Schedules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What stages pass to their neighbours in one step.</summary>
/// <remarks>
/// Sends never hold up computing, so a schedule that its validator let pass cannot deadlock. Each rank knows from the schedule what the others
/// send it and in which order; it receives up to <see cref="Ahead"/> messages of each before it needs them.
/// </remarks>
internal sealed class PipelineMessages
{
    /// <summary>Messages of one rank that are on their way or wait to be used.</summary>
    private const int Ahead = 2;

    private static readonly CallSite Site = new("the pipeline", 0);

    private readonly ProcessGroup _group;
    private readonly BoundaryBuffers _buffers;
    private readonly StagePlacement _placement;
    private readonly bool _isTraining;
    private readonly Dictionary<int, Queue<BoundaryKey>> _expected = [];
    private readonly Dictionary<int, int> _outstanding = [];
    private readonly Dictionary<BoundaryKey, ReceivedTensors> _coming = [];
    private readonly Dictionary<BoundaryKey, Parcel> _own = [];
    private readonly List<Work> _sends = [];

    /// <param name="schedule">The step's schedule.</param>
    /// <param name="group">The ranks of the pipeline; nobody else sends messages in it.</param>
    /// <param name="buffers">Where what comes is put.</param>
    public PipelineMessages(PipelineSchedule schedule, ProcessGroup group, BoundaryBuffers buffers)
    {
        (_group, _buffers, _placement, _isTraining) = (group, buffers, schedule.Placement, schedule.HasBackward);
        foreach (var peer in Enumerable.Range(0, group.Size).Where(peer => peer != group.Rank))
        {
            var expected = new Queue<BoundaryKey>(MessageOrder.Of(schedule, peer, group.Rank));
            if (expected.Count > 0)
                (_expected[peer], _outstanding[peer]) = (expected, 0);
        }
    }

    /// <summary>How long this rank had nothing to do but to wait for another's tensors.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>Begins to receive what may come next.</summary>
    public void ReceiveAhead()
    {
        foreach (var (peer, expected) in _expected)
        {
            while (_outstanding[peer] < Ahead && expected.Count > 0)
                ReceiveNext(peer);
        }
    }

    /// <summary>Gives tensors to the stage that needs them.</summary>
    /// <param name="key">Which message it is.</param>
    /// <param name="tensors">The tensors, which stay the caller's; null for one that is not there.</param>
    public void Give(BoundaryKey key, IReadOnlyList<Tensor?> tensors)
    {
        var rank = _placement.RankOf(key.Stage);
        if (rank == _group.Rank)
            _own[key] = new Parcel([.. tensors.Select(tensor => (tensor?.detach().DetachFromDisposeScope(), tensor?.requires_grad ?? false))], null);
        else
            _sends.Add(_group.SendListAsync(tensors, rank, Site));
    }

    /// <summary>Waits for what another stage gives; it is the caller's then.</summary>
    /// <param name="key">Which message it is.</param>
    /// <param name="from">The stage that gives it.</param>
    public Parcel Take(BoundaryKey key, int from)
    {
        if (_own.Remove(key, out var own))
            return own;

        // The messages before it are for later actions of this rank.
        var rank = _placement.RankOf(from);
        ReceivedTensors? coming;
        while (!_coming.Remove(key, out coming))
            ReceiveNext(rank);
        var since = Stopwatch.GetTimestamp();
        var parcel = new Parcel(coming.Wait(), IsReused(key) ? _buffers : null);
        Waited += Stopwatch.GetElapsedTime(since);
        _outstanding[rank]--;
        ReceiveAhead();
        return parcel;
    }

    /// <summary>Waits until all has been sent.</summary>
    public void Finish()
    {
        foreach (var send in _sends)
            send.Wait();
        _sends.Clear();
    }

    /// <summary>
    /// Whether nobody can look at the memory any more when the stage is done with it: a gradient may become that of a parameter or of an
    /// input, and without a backward nothing tells that what was made of an activation has been sent on.
    /// </summary>
    private bool IsReused(BoundaryKey key) => _isTraining && !key.IsGradient;

    private void ReceiveNext(int peer)
    {
        var key = _expected[peer].Dequeue();
        _coming[key] = _group.ReceiveListAsync(peer, IsReused(key) ? _buffers.Rent : _buffers.Allocate, Site);
        _outstanding[peer]++;
    }
}
