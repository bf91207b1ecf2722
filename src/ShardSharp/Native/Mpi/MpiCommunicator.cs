using System.Text;

namespace ShardSharp.Native;

/// <summary>All ranks of an MPI job, on a communicator of our own, so that nothing else in the process can take our messages.</summary>
/// <remarks>
/// One lock is held around every call. None of them waits for another rank (but for those that begin and end the job), so the lock is
/// held for microseconds, MPI_THREAD_SERIALIZED is all that is asked of the library, and it may keep its faster single-threaded paths.
/// </remarks>
internal sealed unsafe class MpiCommunicator
{
    /// <summary>Every library allows tags up to here.</summary>
    private const int LeastTagLimit = 32767;
    private const int LongestError = 1024;

    private readonly Lock _calling = new();
    private readonly MpiLibrary _library;
    private readonly MpiEntryPoints _mpi;
    private readonly nint _handle;
    private readonly (long Messages, long Bytes)[] _sent;

    /// <summary>Initialises MPI in this process; all ranks of the job do it together, once.</summary>
    /// <exception cref="MpiException">The library refuses, or is in use already.</exception>
    public MpiCommunicator(MpiLibrary library)
    {
        (_library, _mpi) = (library, library.EntryPoints);
        var abi = library.Abi;
        int initialized, granted, rank, size, found;
        Check(_mpi.Initialized(&initialized), "MPI_Initialized");
        if (initialized != 0)
            throw new MpiException("MPI is in use in this process already, and can be initialised once only.");
        Check(_mpi.InitThread(null, null, abi.ThreadSerialized, &granted), "MPI_Init_thread");
        if (granted < abi.ThreadSerialized)
            throw new MpiException($"{library.Version} was built without support for threads (MPI_THREAD_SERIALIZED).");
        Check(_mpi.SetErrorHandler(abi.World, abi.ErrorsReturn), "MPI_Comm_set_errhandler");
        nint handle = 0;
        Check(_mpi.Duplicate(abi.World, &handle), "MPI_Comm_dup");
        _handle = handle;
        Check(_mpi.Rank(_handle, &rank), "MPI_Comm_rank");
        Check(_mpi.Size(_handle, &size), "MPI_Comm_size");
        (Rank, Size, _sent) = (rank, size, new (long, long)[size]);
        int* limit;
        Check(_mpi.Attribute(abi.World, abi.TagLimitKey, &limit, &found), "MPI_Comm_get_attr");
        TagLimit = found != 0 ? *limit : LeastTagLimit;
    }

    public int Rank { get; }

    public int Size { get; }

    /// <summary>The largest tag.</summary>
    public int TagLimit { get; }

    /// <summary>The library in words, for reports.</summary>
    public string Description => $"{_library.Version} ({_library.File})";

    /// <summary>Begins to send; messages to one rank with one tag arrive in the order they were begun.</summary>
    /// <returns>The request, to be passed to <see cref="Test"/> until it is done.</returns>
    public nint Send(byte* address, int length, int rank, int tag)
    {
        nint request = 0;
        lock (_calling)
        {
            Check(_mpi.Send(address, length, _library.Abi.Byte, rank, tag, _handle, &request), "MPI_Isend");
            _sent[rank] = (_sent[rank].Messages + 1, _sent[rank].Bytes + length);
        }

        return request;
    }

    /// <summary>How many messages, and bytes in them, this rank has begun to send to another.</summary>
    public (long Messages, long Bytes) SentTo(int rank)
    {
        lock (_calling)
            return _sent[rank];
    }

    /// <summary>Begins to receive a message of at most <paramref name="capacity"/> bytes.</summary>
    /// <inheritdoc cref="Send"/>
    public nint Receive(byte* address, int capacity, int? rank, int tag)
    {
        nint request = 0;
        lock (_calling)
            Check(_mpi.Receive(address, capacity, _library.Abi.Byte, rank ?? _library.Abi.AnySource, tag, _handle, &request), "MPI_Irecv");
        return request;
    }

    /// <summary>Whether a request is done; also what makes all requests of the process advance.</summary>
    public bool Test(ref nint request)
    {
        int done;
        lock (_calling)
        {
            fixed (nint* address = &request)
                Check(_mpi.Test(address, &done, _library.Abi.StatusIgnore), "MPI_Test");
        }

        return done != 0;
    }

    /// <summary>Gives up a request that nobody has answered yet, so that its memory is left alone.</summary>
    public void Cancel(ref nint request)
    {
        lock (_calling)
        {
            fixed (nint* address = &request)
                Check(_mpi.Cancel(address), "MPI_Cancel");
        }

        _ = Test(ref request);
    }

    /// <summary>Ends MPI in this process, when no request is left; all ranks do it together.</summary>
    public void End()
    {
        lock (_calling)
            Check(_mpi.End(), "MPI_Finalize");
    }

    /// <summary>Ends all ranks of the job, this one included.</summary>
    public void Abort(int exitCode)
    {
        lock (_calling)
            _ = _mpi.Abort(_library.Abi.World, exitCode);
    }

    private void Check(int code, string function)
    {
        if (code == 0)
            return;
        var text = stackalloc byte[LongestError];
        var length = 0;
        _ = _mpi.ErrorString(code, text, &length);
        throw new MpiException($"{function} of {Description} failed: {Encoding.UTF8.GetString(text, length)}.");
    }
}
