using ShardSharp.Native;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>One call of NCCL that moves data.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Input">What it reads.</param>
/// <param name="Output">What it writes.</param>
/// <param name="Count">Elements.</param>
/// <param name="Type">Element type.</param>
/// <param name="Reduction">How elements combine.</param>
/// <param name="Peer">Root or peer.</param>
internal sealed record FakeCall(
    string Name, nint Input, nint Output, long Count, NcclElementType Type, NcclReduction Reduction = default, int Peer = -1)
{
    public long Bytes => Count * Type switch
    {
        NcclElementType.Int8 or NcclElementType.UInt8 => 1,
        NcclElementType.Float16 or NcclElementType.BFloat16 => 2,
        NcclElementType.Int32 or NcclElementType.UInt32 or NcclElementType.Float32 => 4,
        _ => 8,
    };

    public bool IsMessage => Name is "ncclSend" or "ncclRecv";

    /// <summary>Whether ranks that call both do the same collective.</summary>
    public bool Fits(FakeCall other) => this with { Input = 0, Output = 0 } == other with { Input = 0, Output = 0 };

    public override string ToString() =>
        $"{Name} {Count} {Type}{(Name.Contains("Reduce", StringComparison.Ordinal) ? $" {Reduction}" : "")}{(Peer < 0 ? "" : $" {Peer}")}";
}
