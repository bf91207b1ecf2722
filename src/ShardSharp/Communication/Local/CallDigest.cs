namespace ShardSharp.Communication.Local;

/// <summary>A signature in 16 bytes that are equal only if the signatures are.</summary>
internal readonly struct CallDigest(ulong what, ulong which)
{
    private const ulong ProposalBit = 1UL << 63;
    private const ulong StepsBit = 1UL << 31;
    private const int CountBits = 48;

    private readonly ulong _what = what;
    private readonly ulong _which = which;

    /// <summary>Whether the rank proposes that all use each other's buffers in place, and has published where its own are.</summary>
    public bool Proposes => (_what & ProposalBit) != 0;

    public static CallDigest Of(in CollectiveSignature signature, bool proposes)
    {
        var what = (ulong)signature.Count | ((ulong)signature.Kind << CountBits) | ((ulong)signature.Reduction << (CountBits + 4))
            | ((ulong)signature.ElementType << (CountBits + 7));

        // Roots begin at -1, none. How long the steps of a call are follows from the call.
        var which = (ulong)signature.Sequence << 32 | (uint)(signature.Root + 1) | (signature.Step > 0 ? StepsBit : 0);
        return new CallDigest(what | (proposes ? ProposalBit : 0), which);
    }

    /// <summary>Whether the calls are the same; what they propose may differ.</summary>
    public bool Matches(CallDigest other) => ((_what ^ other._what) & ~ProposalBit) == 0 && _which == other._which;
}
