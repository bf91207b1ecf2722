using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

internal sealed unsafe partial class MpiProcessGroup
{
    /// <summary>Data that travels in the message which announces it.</summary>
    private const int DataWithAnnouncement = 8 * 1024;

    /// <summary>Messages so far to and from every peer; the same count on both ends, because messages keep their order.</summary>
    private readonly Dictionary<(CollectiveKind Direction, int Peer), long> _messages = [];

    private int MessageTag => _tag + 1;

    // Of a message that fails the memory is given up rather than freed: MPI may still be at it.
    private void SendMessage(in CollectiveCall call)
    {
        var memory = new NativeBuffer(CallBlock.BytesFor(DataWithAnnouncement));
        var block = Describe(call, memory);
        block.DataBytes = Math.Min(DataWithAnnouncement, call.Input.Length);
        call.Input.Read(0, block.Data, block.DataBytes);
        World.Disturb?.Invoke();
        var request = World.Communicator.Send(block.Address, block.Bytes, GlobalRanks[call.Peer], MessageTag);
        World.Wait(ref request, new PublishedCall(this, block.Signature).WaitFor(call.Peer));
        MoveRest(call, call.Input, block);
        memory.Dispose();
    }

    private void ReceiveMessage(in CollectiveCall call)
    {
        var memory = new NativeBuffer(CallBlock.BytesFor(DataWithAnnouncement));
        var incoming = new NativeBuffer(CallBlock.BytesFor(DataWithAnnouncement));
        var expected = Describe(call, memory);
        var block = new CallBlock(incoming.Address);
        World.Disturb?.Invoke();
        var request = World.Communicator.Receive(block.Address, CallBlock.BytesFor(DataWithAnnouncement), GlobalRanks[call.Peer], MessageTag);
        World.Wait(ref request, new PublishedCall(this, expected.Signature).WaitFor(call.Peer));
        RequireSameMessage(block.Signature, expected.Signature);
        if (!block.FitsInto((int)Math.Min(DataWithAnnouncement, call.Output.Length)))
            throw new CommunicationException($"What rank {GlobalRanks[call.Peer]} sent in group '{Name}' is no message.");
        call.Output.Write(0, block.Data, block.DataBytes);
        MoveRest(call, call.Output, expected);
        memory.Dispose();
        incoming.Dispose();
    }

    private CallBlock Describe(in CollectiveCall call, NativeBuffer memory)
    {
        long sequence;

        // Sends and receives of different peers may run on threads of their own.
        lock (_messages)
            sequence = _messages[(call.Kind, call.Peer)] = _messages.GetValueOrDefault((call.Kind, call.Peer)) + 1;
        var block = new CallBlock(memory.Address);
        block.Signature.Publish(CollectiveSignature.Of(call, sequence), call.Site);
        return block;
    }

    private void MoveRest(in CollectiveCall call, FlatBuffer buffer, CallBlock mine)
    {
        using var even = new MpiTransfers(this, MessageTag);
        using var odd = new MpiTransfers(this, MessageTag);
        var described = new PublishedCall(this, mine.Signature);
        var transfers = even;
        for (var offset = (long)DataWithAnnouncement; offset < buffer.Length; offset += StepBytes)
        {
            World.Disturb?.Invoke();
            transfers.Complete(described);
            if (call.Kind == CollectiveKind.Send)
                transfers.Send(call.Peer, buffer, offset, Math.Min(StepBytes, buffer.Length - offset));
            else
                transfers.Receive(call.Peer, buffer, offset, Math.Min(StepBytes, buffer.Length - offset));
            transfers = ReferenceEquals(transfers, even) ? odd : even;
        }

        even.Complete(described);
        odd.Complete(described);
    }

    private void RequireSameMessage(PublishedSignature sent, PublishedSignature expected)
    {
        if (sent.Value.Count == expected.Value.Count && sent.Value.ElementType == expected.Value.ElementType)
            return;
        var message = $"Rank {GlobalRanks[Rank]} expects another message than was sent to it in group '{Name}':{Environment.NewLine}"
            + $"  {sent}{Environment.NewLine}  {expected}";
        World.Break(message);
        throw new CollectiveMismatchException(message);
    }
}
