using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Objects travel as a length and bytes of JSON; whatever another rank sends instead, a rank reports and survives.</summary>
public sealed class MalformedObjectTests
{
    private sealed record Note(int From, string Text);

    [Theory]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    [InlineData((64L << 20) + 1)]
    public void No_memory_is_allocated_for_a_length_that_cannot_be(long length)
    {
        foreach (var receive in Receivers)
        {
            var failure = RankHarness.Run(2, group => group.Rank == 0 ? Send(group, receive.Kind, length, []) : Catch(group, receive.Receive))[1];
            Assert.StartsWith($"Rank 0 announces an object of {length} bytes in group 'world'", failure?.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Bytes_that_are_no_object_are_reported_with_their_sender()
    {
        var bytes = Gen.OneOf(Gen.Byte.Array[1, 50], Gen.String[1, 20].Select(Encoding.UTF8.GetBytes), Gen.Const("{\"From\":1e99,\"Text\":[]}"u8.ToArray()));
        Gen.Select(bytes, Gen.Int[0, Receivers.Length - 1]).Sample(
            (message, receiver) =>
            {
                var receive = Receivers[receiver];
                var failure = RankHarness.Run(
                    2, group => group.Rank == 0 ? Send(group, receive.Kind, message.Length, message) : Catch(group, receive.Receive))[1];
                return failure is null or CommunicationException
                    && failure?.Message.StartsWith("Rank 0 sent no Note in group 'world'", StringComparison.Ordinal) != false;
            },
            iter: 100, threads: 1);
    }

    [Fact]
    public void Objects_that_are_too_large_are_refused_where_they_are_sent()
    {
        var failures = RankHarness.Capture(1, group => group.BroadcastObject(new string('x', 64 << 20), 0));
        Assert.StartsWith("The object takes 67108866 bytes of JSON", Assert.IsType<ArgumentException>(Assert.Single(failures).Failure).Message,
            StringComparison.Ordinal);
    }

    private static (CollectiveKind Kind, Action<ProcessGroup> Receive)[] Receivers { get; } =
    [
        (CollectiveKind.Broadcast, group => group.BroadcastObject(new Note(0, ""), 0)),
        (CollectiveKind.AllGather, group => group.AllGatherObject(new Note(0, ""))),
        (CollectiveKind.Send, group => group.ReceiveObject<Note>(0)),
    ];

    /// <summary>Plays the sender's part with tensors: a length, then bytes if the length is theirs.</summary>
    private static Exception? Send(ProcessGroup group, CollectiveKind kind, long length, byte[] bytes)
    {
        Transfer(group, kind, MemoryMarshal.AsBytes<long>([length]).ToArray(), ScalarType.Int64);
        if (length == bytes.Length)
            Transfer(group, kind, bytes, ScalarType.Byte);
        return null;
    }

    private static void Transfer(ProcessGroup group, CollectiveKind kind, byte[] bytes, ScalarType type)
    {
        // All share one length in a gather: that of the longest object.
        var padded = kind == CollectiveKind.AllGather && type == ScalarType.Byte ? Math.Max(bytes.Length, "{\"From\":0,\"Text\":\"\"}".Length) : bytes.Length;
        Array.Resize(ref bytes, padded);
        using var tensor = empty(padded / ElementTypes.SizeOf(type), type);
        bytes.CopyTo(tensor.bytes);
        switch (kind)
        {
            case CollectiveKind.Broadcast:
                group.Broadcast(tensor, 0);
                break;
            case CollectiveKind.Send:
                group.Send(tensor, 1);
                break;
            default:
                using (var all = empty(2 * tensor.numel(), type))
                    group.AllGather(all, tensor);
                break;
        }
    }

    private static CommunicationException? Catch(ProcessGroup group, Action<ProcessGroup> receive)
    {
        try
        {
            receive(group);
            return null;
        }
        catch (CommunicationException failure)
        {
            return failure;
        }
    }
}
