using System.Diagnostics.CodeAnalysis;

namespace ShardSharp.Native;

/// <summary>MPICH since 3.1 and all that keep its binary interface (Intel MPI, MVAPICH, Cray MPICH, ParaStation): handles are C ints.</summary>
internal sealed record MpichAbi : MpiAbi
{
    private static readonly string[] Relatives = ["MPICH", "MVAPICH", "Intel(R) MPI", "ParaStation", "CRAY MPI"];

    [SetsRequiredMembers]
    public MpichAbi()
    {
        World = 0x44000000;
        Byte = 0x4c00010d;
        ErrorsReturn = 0x54000001;
        StatusIgnore = 1;
        AnySource = -2;
        TagLimitKey = 0x64400001;
        ThreadSerialized = 2;
    }

    public override string Name => "MPICH";

    /// <summary>Whether a library of this version text keeps the interface.</summary>
    public static bool Speaks(string version) => Relatives.Any(name => version.Contains(name, StringComparison.Ordinal));
}
