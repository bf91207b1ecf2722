using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Communication.Nccl;

/// <summary>Messages from this rank to one peer, or from it: a communicator of the two, so that they wait behind no others.</summary>
/// <remarks>
/// Before a message the sender tells the receiver through the host what it sends; the first time, how to meet it too. The receiver looks
/// at that first, so a message of another size is an error and never lands in a tensor.
/// </remarks>
/// <param name="world">The run that the rank takes part in.</param>
/// <param name="host">The same ranks, through the host.</param>
/// <param name="direction">Send or receive.</param>
/// <param name="peer">The other rank.</param>
internal sealed unsafe class MessageLine(NcclWorld world, ProcessGroup host, CollectiveKind direction, int peer) : IDisposable
{
    private const int IdOffset = PublishedSignature.Bytes;
    private const int BlockBytes = IdOffset + NcclUniqueId.Size;

    private readonly NativeBuffer _block = new(BlockBytes);
    private readonly NativeBuffer _described = new(PublishedSignature.Bytes);
    private long _sequence;

    /// <summary>The communicator; null before the first message.</summary>
    public NcclLine? Line { get; private set; }

    /// <summary>Comes to an agreement with the peer on the next message, and meets it the first time.</summary>
    /// <exception cref="CollectiveMismatchException">It sends something else than is expected.</exception>
    public NcclLine Announce(in CollectiveCall call)
    {
        var mine = new PublishedSignature(_described.Address);
        mine.Publish(CollectiveSignature.Of(call, ++_sequence), call.Site);
        var sends = direction == CollectiveKind.Send;
        if (sends)
        {
            mine.CopyTo(new PublishedSignature(_block.Address));
            if (Line is null)
                world.CreateId().ToArray().CopyTo(new Span<byte>(_block.Address + IdOffset, NcclUniqueId.Size));
        }

        var block = new FlatBuffer(_block.Address, BlockBytes);
        host.Perform(new CollectiveCall(
            direction, ScalarType.Byte, sends ? block : default, sends ? default : block, default, peer, call.Site)
        {
            InBackground = call.InBackground,
        });
        RequireSame(new PublishedSignature(_block.Address), mine);
        return Line ??= Meet(sends);
    }

    public void Dispose()
    {
        _block.Dispose();
        _described.Dispose();
    }

    private NcclLine Meet(bool sends)
    {
        var (source, target) = sends ? (host.Rank, peer) : (peer, host.Rank);
        var name = $"messages from rank {host.GlobalRanks[source]} to rank {host.GlobalRanks[target]} in group '{host.Name}'";
        return new NcclLine(world, name, 2, sends ? 0 : 1, NcclUniqueId.From(new ReadOnlySpan<byte>(_block.Address + IdOffset, NcclUniqueId.Size)));
    }

    private void RequireSame(PublishedSignature sent, PublishedSignature expected)
    {
        if (sent.Value.Count == expected.Value.Count && sent.Value.ElementType == expected.Value.ElementType)
            return;
        throw new CollectiveMismatchException(
            $"Rank {host.GlobalRanks[host.Rank]} expects another message than was sent to it in group '{host.Name}':{Environment.NewLine}"
            + $"  {sent}{Environment.NewLine}  {expected}");
    }
}
