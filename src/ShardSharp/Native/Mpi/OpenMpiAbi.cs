using System.Diagnostics.CodeAnalysis;

namespace ShardSharp.Native;

/// <summary>Open MPI 3 to 5: handles are the addresses of objects that the library exports.</summary>
internal sealed record OpenMpiAbi : MpiAbi
{
    public const string WorldSymbol = "ompi_mpi_comm_world";

    /// <param name="export">Address of an exported object.</param>
    [SetsRequiredMembers]
    public OpenMpiAbi(Func<string, nint> export)
    {
        World = export(WorldSymbol);
        Byte = export("ompi_mpi_byte");
        ErrorsReturn = export("ompi_mpi_errors_return");
        StatusIgnore = 0;
        AnySource = -1;
        TagLimitKey = 0;
        ThreadSerialized = 2;
    }

    public override string Name => "Open MPI";
}
