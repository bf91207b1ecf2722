using System.Runtime.CompilerServices;
using System.Text.Json;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract unsafe partial class ProcessGroup
{
    /// <summary>The most bytes of JSON that an operation on objects makes a rank receive. Data that is larger belongs in tensors.</summary>
    private const long MostObjectBytes = 64 << 20;

    /// <summary>Gives every rank the root's object; for small control messages.</summary>
    /// <typeparam name="T">Any type that System.Text.Json writes and reads.</typeparam>
    /// <param name="value">The object on the root; ignored elsewhere.</param>
    /// <param name="root">Group rank that has the object.</param>
    /// <returns>The root's object; on the root the very <paramref name="value"/>.</returns>
    /// <exception cref="ArgumentException">The object takes more than 64 MiB of JSON.</exception>
    /// <exception cref="CommunicationException">What the root sent is no such object.</exception>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public T BroadcastObject<T>(T value, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var site = new CallSite(file, line);
        var message = Rank == root ? Written(value) : [];
        long length = message.Length;
        Run(BroadcastCall(ScalarType.Int64, new FlatBuffer(&length, sizeof(long)), root, site));
        if (Rank != root)
            message = new byte[Announced(length, length, root)];
        fixed (byte* address = message)
            Run(BroadcastCall(ScalarType.Byte, new FlatBuffer(address, length), root, site));
        return Rank == root ? value : Read<T>(message, root);
    }

    /// <summary>Collects every rank's object, in rank order, on all ranks; for small control messages.</summary>
    /// <typeparam name="T">Any type that System.Text.Json writes and reads.</typeparam>
    /// <param name="value">This rank's object.</param>
    /// <returns>All objects, rank 0's first; this rank's own is a copy too.</returns>
    /// <exception cref="ArgumentException">The object takes more than 64 MiB of JSON.</exception>
    /// <exception cref="CommunicationException">What a rank sent is no such object, or <see cref="Size"/> times the longest are more than
    /// 64 MiB.</exception>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public IReadOnlyList<T> AllGatherObject<T>(T value, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var site = new CallSite(file, line);
        var message = Written(value);
        var lengths = new long[Size];
        long mine = message.Length;
        fixed (long* address = lengths)
            Run(GatherCall(ScalarType.Int64, new FlatBuffer(&mine, sizeof(long)), new FlatBuffer(address, sizeof(long) * (long)Size), site));

        for (var rank = 0; rank < Size; rank++)
            _ = Announced(lengths[rank], lengths[rank] * Size, rank);
        var longest = (int)lengths.Max();
        Array.Resize(ref message, longest);
        var all = new byte[longest * Size];
        fixed (byte* source = message, target = all)
            Run(GatherCall(ScalarType.Byte, new FlatBuffer(source, longest), new FlatBuffer(target, all.Length), site));
        return [.. lengths.Select((length, rank) => Read<T>(all.AsSpan(rank * longest, (int)length), rank))];
    }

    /// <summary>Sends an object to one rank; for small control messages.</summary>
    /// <typeparam name="T">Any type that System.Text.Json writes and reads.</typeparam>
    /// <param name="value">What to send.</param>
    /// <param name="destination">Group rank that receives it with <see cref="ReceiveObject"/>.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void SendObject<T>(T value, int destination, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        RequireOther(destination, nameof(destination));
        var site = new CallSite(file, line);
        var message = Written(value);
        long length = message.Length;
        Run(new CollectiveCall(
            CollectiveKind.Send, ScalarType.Int64, new FlatBuffer(&length, sizeof(long)), default, default, destination, site));
        fixed (byte* address = message)
            Run(new CollectiveCall(CollectiveKind.Send, ScalarType.Byte, new FlatBuffer(address, length), default, default, destination, site));
    }

    /// <summary>Receives an object from one rank.</summary>
    /// <typeparam name="T">The type that the other rank sends.</typeparam>
    /// <param name="source">Group rank that sends it with <see cref="SendObject"/>.</param>
    /// <returns>The object.</returns>
    /// <exception cref="CommunicationException">What the other rank sent is no such object.</exception>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public T ReceiveObject<T>(int source, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        RequireOther(source, nameof(source));
        var site = new CallSite(file, line);
        long length = 0;
        Run(new CollectiveCall(
            CollectiveKind.Receive, ScalarType.Int64, default, new FlatBuffer(&length, sizeof(long)), default, source, site));
        var message = new byte[Announced(length, length, source)];
        fixed (byte* address = message)
            Run(new CollectiveCall(CollectiveKind.Receive, ScalarType.Byte, default, new FlatBuffer(address, length), default, source, site));
        return Read<T>(message, source);
    }

    private static byte[] Written<T>(T value)
    {
        var message = JsonSerializer.SerializeToUtf8Bytes(value);
        return message.Length <= MostObjectBytes ? message : throw new ArgumentException(
            $"The object takes {message.Length} bytes of JSON; up to {MostObjectBytes} travel as an object. Send data as tensors.", nameof(value));
    }

    /// <summary>The length of an object that another rank announces, before any memory is allocated for it.</summary>
    private int Announced(long length, long total, int member)
    {
        // The total of a length that is too long may have gone round.
        return length is >= 0 and <= MostObjectBytes && total <= MostObjectBytes ? (int)length : throw new CommunicationException(
            $"Rank {GlobalRanks[member]} announces an object of {length} bytes in group '{Name}' of {Size} ranks; {MostObjectBytes} bytes may "
            + "arrive at a rank at once. Send data as tensors.");
    }

    private T Read<T>(ReadOnlySpan<byte> message, int member)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(message)!;
        }
        catch (JsonException failure)
        {
            throw new CommunicationException(
                $"Rank {GlobalRanks[member]} sent no {typeof(T).Name} in group '{Name}': {failure.Message}", failure);
        }
    }

    private static CollectiveCall GatherCall(ScalarType type, FlatBuffer input, FlatBuffer output, CallSite site) =>
        new(CollectiveKind.AllGather, type, input, output, default, NoPeer, site);
}
