using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>The functions of an MPI library that are used here; the same in every version since 2.0 and in every binary interface.</summary>
internal sealed unsafe class MpiEntryPoints(string file, nint library)
{
    public delegate* unmanaged<byte*, int*, int> GetLibraryVersion { get; } =
        (delegate* unmanaged<byte*, int*, int>)Find(file, library, "MPI_Get_library_version");

    public delegate* unmanaged<int*, int> Initialized { get; } = (delegate* unmanaged<int*, int>)Find(file, library, "MPI_Initialized");

    public delegate* unmanaged<void*, void*, int, int*, int> InitThread { get; } =
        (delegate* unmanaged<void*, void*, int, int*, int>)Find(file, library, "MPI_Init_thread");

    public delegate* unmanaged<int> End { get; } = (delegate* unmanaged<int>)Find(file, library, "MPI_Finalize");

    public delegate* unmanaged<nint, int, int> Abort { get; } = (delegate* unmanaged<nint, int, int>)Find(file, library, "MPI_Abort");

    public delegate* unmanaged<int, byte*, int*, int> ErrorString { get; } =
        (delegate* unmanaged<int, byte*, int*, int>)Find(file, library, "MPI_Error_string");

    public delegate* unmanaged<nint, nint, int> SetErrorHandler { get; } =
        (delegate* unmanaged<nint, nint, int>)Find(file, library, "MPI_Comm_set_errhandler");

    public delegate* unmanaged<nint, nint*, int> Duplicate { get; } =
        (delegate* unmanaged<nint, nint*, int>)Find(file, library, "MPI_Comm_dup");

    public delegate* unmanaged<nint, int*, int> Rank { get; } = (delegate* unmanaged<nint, int*, int>)Find(file, library, "MPI_Comm_rank");

    public delegate* unmanaged<nint, int*, int> Size { get; } = (delegate* unmanaged<nint, int*, int>)Find(file, library, "MPI_Comm_size");

    public delegate* unmanaged<nint, int, void*, int*, int> Attribute { get; } =
        (delegate* unmanaged<nint, int, void*, int*, int>)Find(file, library, "MPI_Comm_get_attr");

    /// <summary>address, count, type, peer, tag, communicator, request.</summary>
    public delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int> Send { get; } =
        (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Find(file, library, "MPI_Isend");

    /// <summary>address, count, type, peer, tag, communicator, request.</summary>
    public delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int> Receive { get; } =
        (delegate* unmanaged<void*, int, nint, int, int, nint, nint*, int>)Find(file, library, "MPI_Irecv");

    public delegate* unmanaged<nint*, int*, nint, int> Test { get; } =
        (delegate* unmanaged<nint*, int*, nint, int>)Find(file, library, "MPI_Test");

    public delegate* unmanaged<nint*, int> Cancel { get; } = (delegate* unmanaged<nint*, int>)Find(file, library, "MPI_Cancel");

    private static nint Find(string file, nint library, string name) =>
        NativeLibrary.TryGetExport(library, name, out var address)
            ? address
            : throw new NotSupportedException($"{file} has no {name}: it is not an MPI library.");
}
