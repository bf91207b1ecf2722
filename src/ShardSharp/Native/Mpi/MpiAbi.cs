namespace ShardSharp.Native;

/// <summary>What the binary interface of an MPI library fixes that the MPI standard, before its version 5, does not.</summary>
/// <remarks>
/// Handles travel in a machine word. Where an interface makes them C ints, the callee reads the lower half of the register, whose upper
/// half the calling conventions of x86-64 and AArch64 leave unspecified, and writes the lower half of a word that was zero before.
/// </remarks>
internal abstract record MpiAbi
{
    /// <summary>What the interface is called in reports.</summary>
    public abstract string Name { get; }

    /// <summary><c>MPI_COMM_WORLD</c>.</summary>
    public required nint World { get; init; }

    /// <summary><c>MPI_BYTE</c>.</summary>
    public required nint Byte { get; init; }

    /// <summary><c>MPI_ERRORS_RETURN</c>.</summary>
    public required nint ErrorsReturn { get; init; }

    /// <summary><c>MPI_STATUS_IGNORE</c>.</summary>
    public required nint StatusIgnore { get; init; }

    /// <summary><c>MPI_ANY_SOURCE</c>.</summary>
    public required int AnySource { get; init; }

    /// <summary><c>MPI_TAG_UB</c>, the attribute that holds the largest tag.</summary>
    public required int TagLimitKey { get; init; }

    /// <summary><c>MPI_THREAD_SERIALIZED</c>.</summary>
    public required int ThreadSerialized { get; init; }

    /// <summary>Finds out which interface a library has.</summary>
    /// <param name="fileName">File name of the library; that of the standard interface is itself part of the standard.</param>
    /// <param name="version">What <c>MPI_Get_library_version</c> says.</param>
    /// <param name="export">Address of an exported object; 0 if the library has none of that name.</param>
    /// <exception cref="NotSupportedException">It is none of those known here.</exception>
    public static MpiAbi Detect(string fileName, string version, Func<string, nint> export)
    {
        // An implementation may offer the standard interface on top of its own, so both kinds of symbols can be there: the name decides.
        if (fileName.StartsWith("libmpi_abi", StringComparison.Ordinal))
            return new StandardMpiAbi();
        if (export(OpenMpiAbi.WorldSymbol) != 0)
            return new OpenMpiAbi(export);
        if (MpichAbi.Speaks(version))
            return new MpichAbi();
        throw new NotSupportedException(
            $"{fileName} says it is '{version.Split('\n')[0]}', which has neither the binary interface of Open MPI, nor that of MPICH, nor the standard one "
            + "(libmpi_abi.so).");
    }
}
