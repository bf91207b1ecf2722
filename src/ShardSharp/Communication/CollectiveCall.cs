using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>One operation on a group as one rank asks for it: what every backend executes.</summary>
/// <param name="Kind">The operation.</param>
/// <param name="ElementType">Element type; bytes for control messages.</param>
/// <param name="Input">What this rank contributes; empty where it contributes nothing.</param>
/// <param name="Output">Where the result goes; may be <paramref name="Input"/> itself; empty where this rank receives nothing.</param>
/// <param name="Reduction">How elements combine, for the reducing operations.</param>
/// <param name="Peer">The root of a rooted operation, or the other rank of a point-to-point one.</param>
/// <param name="Site">Where it was called.</param>
internal readonly record struct CollectiveCall(
    CollectiveKind Kind, ScalarType ElementType, FlatBuffer Input, FlatBuffer Output, ReduceOperation Reduction, int Peer, CallSite Site)
{
    /// <summary>The GPU whose memory input and output are; null for memory of the host.</summary>
    public int? Device { get; init; }

    /// <summary>Where in the order of the caller's work on the GPU the operation was called; null for memory of the host.</summary>
    public DeviceMark? Mark { get; init; }

    /// <summary>Of a call that is one step of a longer one, the bytes that the ranks agree on for the whole; else 0.</summary>
    public long WholeBytes { get; init; }

    /// <summary>Whether the caller computes meanwhile, so that a core spent on waiting would be missed.</summary>
    public bool InBackground { get; init; }

    /// <summary>Whether it is a piece of a call on a larger group, whose waits count there.</summary>
    public bool IsPart { get; init; }

    /// <summary>Position among the collectives of the group, from 1.</summary>
    public long Sequence { get; init; }

    /// <summary>Shape of what this rank gives, or gets where it gives nothing.</summary>
    public TensorShape Shape { get; init; }

    /// <summary>Bytes that all ranks must agree on: the full buffer of a reduction, one rank's share of a gather.</summary>
    /// <remarks>In a gather or scatter only the root holds the large buffer, so the share is what everybody has.</remarks>
    public long AgreedBytes => Kind switch
    {
        CollectiveKind.Scatter => Output.Length,
        CollectiveKind.Broadcast => Math.Max(Input.Length, Output.Length),
        CollectiveKind.Receive => Output.Length,
        _ => Input.Length,
    };

    /// <summary>The call in words, as errors and reports show it: <c>all_reduce (sum) of 1024 Float32</c>.</summary>
    public override string ToString() =>
        CollectiveSignature.Describe(Kind, Reduction, ElementType, AgreedBytes / ElementTypes.SizeOf(ElementType), Peer);
}
