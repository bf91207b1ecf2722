namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    /// <summary>State of this rank's end of a channel; the same count on both ends, because messages keep their order.</summary>
    private sealed class ChannelEnd
    {
        /// <summary>The line of the program that the signature in each slot names.</summary>
        public readonly CallSite[] Sites = new CallSite[MessageChannel.Slots];

        public int Turn;
        public long Sequence;

        /// <summary>Slots that the receiver had emptied when the sender last looked.</summary>
        public int Emptied;
    }

    private readonly ChannelEnd[] _sending;
    private readonly ChannelEnd[] _receiving;

    private void SendMessage(in CollectiveCall call)
    {
        var channel = _layout.Channel(Rank, call.Peer);
        var end = _sending[call.Peer];
        end.Sequence++;
        for (var offset = 0L; offset == 0 || offset < call.Input.Length; offset += MessageChannel.SlotBytes)
        {
            _world.Disturb?.Invoke();
            if (!HasRoom(channel, end))
                AwaitPeer(call, end, channel.Emptied, channel.EmptiedSleepers, FirstEmptied(end));
            if (offset == 0)
                Announce(call, channel, end);
            var length = Math.Min(MessageChannel.SlotBytes, call.Input.Length - offset);
            call.Input.Read(offset, channel.Slot(end.Turn), length);
            RankWaiter.Advance(channel.Filled, ++end.Turn);
            RankWaiter.WakeSleepers(channel.Filled, channel.FilledSleepers);
            if (HasRoom(channel, end))
                Prepare(channel.Slot(end.Turn), 0, length);
        }
    }

    private void ReceiveMessage(in CollectiveCall call)
    {
        var channel = _layout.Channel(call.Peer, Rank);
        var end = _receiving[call.Peer];
        end.Sequence++;
        for (var offset = 0L; offset == 0 || offset < call.Output.Length; offset += MessageChannel.SlotBytes)
        {
            _world.Disturb?.Invoke();
            if (!_world.Waiter.Look(channel.Filled, end.Turn + 1))
                AwaitPeer(call, end, channel.Filled, channel.FilledSleepers, end.Turn + 1);
            if (offset == 0)
                RequireSameMessage(channel, call, end);
            call.Output.Write(offset, channel.Slot(end.Turn), Math.Min(MessageChannel.SlotBytes, call.Output.Length - offset));
            RankWaiter.Advance(channel.Emptied, ++end.Turn);
            RankWaiter.WakeSleepers(channel.Emptied, channel.EmptiedSleepers);
        }
    }

    /// <summary>Whether the next slot is empty, so that the sender may write to it.</summary>
    private static bool HasRoom(in MessageChannel channel, ChannelEnd end)
    {
        if (end.Emptied - FirstEmptied(end) < 0)
            end.Emptied = Volatile.Read(ref *channel.Emptied);
        return end.Emptied - FirstEmptied(end) >= 0;
    }

    private static int FirstEmptied(ChannelEnd end) => end.Turn - MessageChannel.Slots + 1;

    /// <summary>Publishes what this rank sends.</summary>
    private static void Announce(in CollectiveCall call, in MessageChannel channel, ChannelEnd end)
    {
        var signature = CollectiveSignature.Of(call, end.Sequence);
        var published = channel.Signature(end.Turn);
        ref var site = ref end.Sites[end.Turn & (MessageChannel.Slots - 1)];
        if (site == call.Site)
            published.Publish(signature);
        else
            published.Publish(signature, site = call.Site);
        *channel.Digest(end.Turn) = new MessageDigest(signature.Count, signature.ElementType);
    }

    private void RequireSameMessage(in MessageChannel channel, in CollectiveCall call, ChannelEnd end)
    {
        var count = ElementTypes.CountOf(call.AgreedBytes, call.ElementType);
        if (*channel.Digest(end.Turn) == new MessageDigest(count, call.ElementType))
            return;
        var scratch = stackalloc byte[PublishedSignature.Bytes];
        var message = $"Rank {GlobalRanks[Rank]} expects another message than was sent to it in group '{Name}':{Environment.NewLine}"
            + $"  {channel.Signature(end.Turn)}{Environment.NewLine}  {Describe(call, end, scratch)}";
        _world.Roster.Break(message);
        throw new CollectiveMismatchException(message);
    }

    /// <summary>Waits for the other side of a channel; apart from what is done for every message.</summary>
    private void AwaitPeer(in CollectiveCall call, ChannelEnd end, int* counter, int* sleepers, int target)
    {
        var scratch = stackalloc byte[PublishedSignature.Bytes];
        var wait = new PendingWait(GlobalRanks[Rank], GlobalRanks[call.Peer], Name, Describe(call, end, scratch), Theirs: null);
        _world.Waiter.WaitFor(counter, sleepers, target, wait with { InBackground = call.InBackground });
    }

    private static PublishedSignature Describe(in CollectiveCall call, ChannelEnd end, byte* scratch)
    {
        var mine = new PublishedSignature(scratch);
        mine.Publish(CollectiveSignature.Of(call, end.Sequence), call.Site);
        return mine;
    }
}
