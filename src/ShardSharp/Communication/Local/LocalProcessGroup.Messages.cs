namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>State of this rank's end of a channel; the same count on both ends, because messages keep their order.</summary>
    private sealed class ChannelEnd
    {
        public int Turn;
        public long Sequence;
    }

    private readonly Dictionary<(bool Sends, int Peer), ChannelEnd> _ends = [];

    private void SendMessage(in CollectiveCall call)
    {
        var channel = _layout.Channel(Rank, call.Peer);
        var end = EndOf(sends: true, call.Peer);
        var scratch = stackalloc byte[PublishedSignature.Bytes];
        var (mine, wait) = Describe(call, end, scratch);
        for (var offset = 0L; offset == 0 || offset < call.Input.Length; offset += MessageChannel.SlotBytes)
        {
            _world.Disturb?.Invoke();
            _world.Waiter.WaitFor(channel.Emptied, channel.EmptiedSleepers, end.Turn - MessageChannel.Slots + 1, wait);
            if (offset == 0)
                mine.CopyTo(channel.Signature(end.Turn));
            call.Input.Read(offset, channel.Slot(end.Turn), Math.Min(MessageChannel.SlotBytes, call.Input.Length - offset));
            end.Turn++;
            RankWaiter.Advance(channel.Filled, channel.FilledSleepers);
        }
    }

    private void ReceiveMessage(in CollectiveCall call)
    {
        var channel = _layout.Channel(call.Peer, Rank);
        var end = EndOf(sends: false, call.Peer);
        var scratch = stackalloc byte[PublishedSignature.Bytes];
        var (mine, wait) = Describe(call, end, scratch);
        for (var offset = 0L; offset == 0 || offset < call.Output.Length; offset += MessageChannel.SlotBytes)
        {
            _world.Disturb?.Invoke();
            _world.Waiter.WaitFor(channel.Filled, channel.FilledSleepers, end.Turn + 1, wait);
            if (offset == 0)
                RequireSameMessage(channel.Signature(end.Turn), mine);
            call.Output.Write(offset, channel.Slot(end.Turn), Math.Min(MessageChannel.SlotBytes, call.Output.Length - offset));
            end.Turn++;
            RankWaiter.Advance(channel.Emptied, channel.EmptiedSleepers);
        }
    }

    private (PublishedSignature Mine, PendingWait Wait) Describe(in CollectiveCall call, ChannelEnd end, byte* scratch)
    {
        end.Sequence++;
        var mine = new PublishedSignature(scratch);
        mine.Publish(CollectiveSignature.Of(call, end.Sequence), call.Site);
        return (mine, new PendingWait(GlobalRanks[Rank], GlobalRanks[call.Peer], Name, mine, Theirs: null) { InBackground = call.InBackground });
    }

    private void RequireSameMessage(PublishedSignature sent, PublishedSignature expected)
    {
        if (sent.Value.Count == expected.Value.Count && sent.Value.ElementType == expected.Value.ElementType)
            return;
        var message = $"Rank {GlobalRanks[Rank]} expects another message than was sent to it in group '{Name}':{Environment.NewLine}"
            + $"  {sent}{Environment.NewLine}  {expected}";
        _world.Roster.Break(message);
        throw new CollectiveMismatchException(message);
    }

    private ChannelEnd EndOf(bool sends, int peer)
    {
        // Sends and receives of different peers may run on threads of their own.
        lock (_ends)
            return _ends.TryGetValue((sends, peer), out var end) ? end : _ends[(sends, peer)] = new ChannelEnd();
    }
}
