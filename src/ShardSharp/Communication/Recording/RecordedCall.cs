using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>One call in the memory of a flight recorder: whole cache lines, so that writing it disturbs no other.</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal struct RecordedCall
{
    public const int Bytes = 128;

    /// <summary>Position among all calls of the rank, from 1; 0 while the entry is being written.</summary>
    public long Number;

    /// <summary>Position among the collectives of the group, or among the messages to or from the peer.</summary>
    public long Sequence;

    /// <summary>Elements.</summary>
    public long Count;

    /// <summary>Tick of <see cref="System.Diagnostics.Stopwatch"/> when it started; the clock is the same in all processes of a host.</summary>
    public long Started;

    /// <summary>Tick when it ended; 0 before.</summary>
    public long Ended;

    /// <summary>Root or peer, as a rank of the group.</summary>
    public int Peer;

    /// <summary>World rank of the peer of a message.</summary>
    public int PeerWorldRank;

    public short Group;
    public short Site;
    public byte Kind;
    public byte Reduction;
    public sbyte ElementType;
    public byte IsBackground;
    public byte State;
    public TensorShape Shape;

    public readonly string Describe() => CollectiveSignature.Describe(
        (CollectiveKind)Kind, (ReduceOperation)Reduction, (ScalarType)ElementType, Count, Peer);
}
