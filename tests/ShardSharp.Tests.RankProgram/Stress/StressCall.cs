using System.Globalization;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

internal enum StressKind
{
    AllReduce,
    ReduceScatter,
    AllGather,
    AllToAll,
    Broadcast,
    Reduce,
    Gather,
    Scatter,
    Barrier,
    Numbers,
    BroadcastObject,
    AllGatherObject,
    Message,
    ObjectMessage,
}

/// <summary>One operation of a run, as all ranks draw it from the seed.</summary>
internal sealed record StressCall
{
    /// <summary>Position in the run.</summary>
    public required int Number { get; init; }

    public required StressKind Kind { get; init; }

    public required StressGroup Group { get; init; }

    public required ScalarType Type { get; init; }

    public required ReduceOperation Reduction { get; init; }

    /// <summary>Root of a rooted operation, sender of a message; a rank of the group.</summary>
    public required int Root { get; init; }

    /// <summary>Receiver of a message.</summary>
    public required int Receiver { get; init; }

    /// <summary>Elements that every rank contributes or gets, whichever is less.</summary>
    public required int Count { get; init; }

    /// <summary>Where the elements of an operation on several tensors are cut, ascending; empty for one tensor.</summary>
    public required int[] Cuts { get; init; }

    public required bool InBackground { get; init; }

    /// <summary>Whether tensors lie in memory of the group, if it has some. The call is not in the background then.</summary>
    public required bool IsInSharedMemory { get; init; }

    /// <summary>Draws how a rank lays out its tensors.</summary>
    public required int LayoutSeed { get; init; }

    /// <summary>What the run's contributions are drawn from.</summary>
    public required int Seed { get; init; }

    public bool IsMessage => Kind is StressKind.Message or StressKind.ObjectMessage;

    /// <summary>What a member puts in: so many shares.</summary>
    public byte[] Contribution(int member, int shares = 1) =>
        StressValues.Draw(Type, (long)Count * shares, ((long)Seed << 32) ^ (Number * 1000L) ^ Group.Ranks[member]);

    /// <summary>What all members put in, in rank order.</summary>
    public byte[][] Contributions(int shares = 1) => [.. Enumerable.Range(0, Group.Size).Select(member => Contribution(member, shares))];

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"#{Number} {Kind} ({Reduction}, root {Root}, receiver {Receiver}) of {Count} {Type}{(Cuts.Length > 0 ? $" in {Cuts.Length + 1} tensors" : "")}"
        + $"{(InBackground ? " in the background" : "")}{(IsInSharedMemory ? " in shared memory" : "")} in group {Group}");
}
