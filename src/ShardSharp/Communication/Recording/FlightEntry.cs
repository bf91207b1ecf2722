using System.Diagnostics;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>One collective or message as the flight recorder of a rank kept it.</summary>
public sealed record FlightEntry
{
    /// <summary>Position among all calls of the rank, from 1.</summary>
    public required long Number { get; init; }

    /// <summary>Position among the collectives of the group, or among the messages sent to or received from one peer, from 1.</summary>
    public required long Sequence { get; init; }

    /// <summary>The call in words, with ranks of the group: <c>all_reduce (sum) of 1024 Float32</c>.</summary>
    public required string Operation { get; init; }

    /// <summary>Name of the group.</summary>
    public required string Group { get; init; }

    /// <summary>Elements that the ranks agree on: the full buffer of a reduction, one rank's share of a gather.</summary>
    public required long Elements { get; init; }

    /// <summary>Element type.</summary>
    public required ScalarType ElementType { get; init; }

    /// <summary>Shape of the tensor that this rank gave, or got where it gave none, of at most 6 dimensions; null for several tensors as one,
    /// and for what is no tensor.</summary>
    public required IReadOnlyList<long>? Shape { get; init; }

    /// <summary>Where the program called it: <c>Program.cs:12</c>.</summary>
    public required string CallSite { get; init; }

    /// <summary>Whether it ran in the background (<c>...Async</c>).</summary>
    public required bool IsBackground { get; init; }

    /// <summary>How far it has come.</summary>
    public required FlightState State { get; init; }

    /// <summary>Tick of <see cref="Stopwatch.GetTimestamp"/> at its start.</summary>
    public required long StartTimestamp { get; init; }

    /// <summary>Tick of <see cref="Stopwatch.GetTimestamp"/> at its end; null while it runs.</summary>
    public required long? EndTimestamp { get; init; }

    /// <summary>How long it took; null while it runs.</summary>
    public TimeSpan? Duration => EndTimestamp is { } end ? Stopwatch.GetElapsedTime(StartTimestamp, end) : null;

    /// <summary>What tells the group from others of the same name; the same on all its ranks.</summary>
    internal long GroupIdentity { get; init; }

    /// <summary>World rank of the peer of a message; null for collectives.</summary>
    internal int? MessagePeer { get; init; }

    /// <summary>The operation with what the number of elements does not tell of the shape.</summary>
    internal string OperationAndShape => $"{Operation}{ShapeText}";

    internal string ShapeText { get; init; } = "";

    /// <summary>The entry in a line: <c>#5 all_reduce (sum) of 6 Float32 [2, 3] in 'world' at Program.cs:12</c>.</summary>
    public override string ToString() => $"#{Sequence} {OperationAndShape} in '{Group}' at {CallSite}";
}
