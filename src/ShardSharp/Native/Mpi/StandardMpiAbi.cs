using System.Diagnostics.CodeAnalysis;

namespace ShardSharp.Native;

/// <summary>The binary interface of the MPI standard, version 5.0, chapter 20: handles are small numbers in pointers.</summary>
internal sealed record StandardMpiAbi : MpiAbi
{
    [SetsRequiredMembers]
    public StandardMpiAbi()
    {
        World = 0x101;
        Byte = 0x247;
        ErrorsReturn = 0x142;
        StatusIgnore = 0;
        AnySource = -1;
        TagLimitKey = 501;
        ThreadSerialized = 2048;
    }

    public override string Name => "MPI 5 standard";
}
