using System.Runtime.CompilerServices;
using System.Text.Json;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract unsafe partial class ProcessGroup
{
    /// <summary>Gives every rank the root's object; for small control messages.</summary>
    /// <typeparam name="T">Any type that System.Text.Json writes and reads.</typeparam>
    /// <param name="value">The object on the root; ignored elsewhere.</param>
    /// <param name="root">Group rank that has the object.</param>
    /// <returns>The root's object; on the root the very <paramref name="value"/>.</returns>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public T BroadcastObject<T>(T value, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var site = new CallSite(file, line);
        var message = Rank == root ? JsonSerializer.SerializeToUtf8Bytes(value) : [];
        long length = message.Length;
        Run(BroadcastCall(ScalarType.Int64, new FlatBuffer(&length, sizeof(long)), root, site));
        if (Rank != root)
            message = new byte[length];
        fixed (byte* address = message)
            Run(BroadcastCall(ScalarType.Byte, new FlatBuffer(address, length), root, site));
        return Rank == root ? value : JsonSerializer.Deserialize<T>(message)!;
    }

    /// <summary>Collects every rank's object, in rank order, on all ranks; for small control messages.</summary>
    /// <typeparam name="T">Any type that System.Text.Json writes and reads.</typeparam>
    /// <param name="value">This rank's object.</param>
    /// <returns>All objects, rank 0's first; this rank's own is a copy too.</returns>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public IReadOnlyList<T> AllGatherObject<T>(T value, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var site = new CallSite(file, line);
        var message = JsonSerializer.SerializeToUtf8Bytes(value);
        var lengths = new long[Size];
        long mine = message.Length;
        fixed (long* address = lengths)
            Run(GatherCall(ScalarType.Int64, new FlatBuffer(&mine, sizeof(long)), new FlatBuffer(address, sizeof(long) * (long)Size), site));

        var longest = (int)lengths.Max();
        Array.Resize(ref message, longest);
        var all = new byte[checked(longest * Size)];
        fixed (byte* source = message, target = all)
            Run(GatherCall(ScalarType.Byte, new FlatBuffer(source, longest), new FlatBuffer(target, all.Length), site));
        return [.. lengths.Select((length, rank) => JsonSerializer.Deserialize<T>(all.AsSpan(rank * longest, (int)length))!)];
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
        var message = JsonSerializer.SerializeToUtf8Bytes(value);
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
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public T ReceiveObject<T>(int source, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        RequireOther(source, nameof(source));
        var site = new CallSite(file, line);
        long length = 0;
        Run(new CollectiveCall(
            CollectiveKind.Receive, ScalarType.Int64, default, new FlatBuffer(&length, sizeof(long)), default, source, site));
        var message = new byte[length];
        fixed (byte* address = message)
            Run(new CollectiveCall(CollectiveKind.Receive, ScalarType.Byte, default, new FlatBuffer(address, length), default, source, site));
        return JsonSerializer.Deserialize<T>(message)!;
    }

    private static CollectiveCall GatherCall(ScalarType type, FlatBuffer input, FlatBuffer output, CallSite site) =>
        new(CollectiveKind.AllGather, type, input, output, default, NoPeer, site);
}
