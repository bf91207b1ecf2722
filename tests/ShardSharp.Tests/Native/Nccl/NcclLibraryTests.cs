using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ShardSharp.Native;

namespace ShardSharp.Tests.Native.Nccl;

public sealed unsafe class NcclLibraryTests
{
    [Fact]
    public void A_library_that_is_not_there_says_what_to_install()
    {
        var missing = Assert.Throws<DllNotFoundException>(() => NcclLibrary.Load(["libnccl-of-nobody.so.2"]));
        Assert.Contains("Install NVIDIA's NCCL (package libnccl2), or name the library in SHARDSHARP_NCCL_LIBRARY", missing.Message, StringComparison.Ordinal);
        Assert.Contains("libnccl-of-nobody.so.2 (does not load)", missing.Message, StringComparison.Ordinal);
        var other = Assert.Throws<DllNotFoundException>(() => NcclLibrary.Load(["libc.so.6"]));
        Assert.Contains("libc.so.6 (has no NCCL in it)", other.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_users_choice_comes_before_the_systems_library_and_that_before_libtorchs()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "libtorch_cuda.so"), "");
            Assert.Equal(
                ["libnccl.so.2", Path.Combine(folder.FullName, "libtorch_cuda.so")], NcclLibrary.Candidates(null, ["/no/such/folder", folder.FullName]));
            Assert.Equal(["/opt/libnccl.so"], NcclLibrary.Candidates("/opt/libnccl.so", [folder.FullName]));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_version_is_described_and_one_too_old_refused()
    {
        Assert.Equal("NCCL 2.26.2 (libnccl.so.2)", NcclLibrary.Describe("libnccl.so.2", Export).Description);
        var old = Assert.Throws<NotSupportedException>(() => NcclLibrary.Describe("libnccl.so.2", name => name == "ncclGetVersion" ? OldVersion : Export(name)));
        Assert.Contains("is NCCL 21003; ShardSharp needs 2.14", old.Message, StringComparison.Ordinal);
        var partial = Assert.Throws<NotSupportedException>(() => NcclLibrary.Describe("libnccl.so.2", name => name == "ncclReduce" ? 0 : Export(name)));
        Assert.Contains("has no ncclReduce", partial.Message, StringComparison.Ordinal);
    }

    /// <summary>Structures by value and by address, counts, handles and enumerations arrive as a C library would see them.</summary>
    [Fact]
    public void Arguments_arrive_as_they_were_given()
    {
        var nccl = NcclLibrary.Describe("libnccl.so.2", Export).EntryPoints;
        var id = NcclUniqueId.From([.. Enumerable.Range(100, NcclUniqueId.Size).Select(value => (byte)value)]);
        var configuration = NcclConfiguration.NonBlocking;
        nint communicator;

        Assert.Equal(NcclResult.InProgress, nccl.CommInitRankConfig(&communicator, 5, id, 3, &configuration));
        Assert.Equal(53, communicator);
        Assert.Equal(24, sizeof(NcclConfiguration));

        Assert.Equal(NcclResult.InvalidUsage, nccl.Reduce((void*)1, (void*)2, nuint.MaxValue, NcclElementType.BFloat16, NcclReduction.Average, 7, 8, 9));
        Assert.Equal("what it means", nccl.GetErrorString(NcclResult.SystemError));
    }

    private static nint OldVersion => (nint)(delegate* unmanaged<int*, NcclResult>)&GetOldVersion;

    private static nint Export(string name) => name switch
    {
        "ncclGetVersion" => (nint)(delegate* unmanaged<int*, NcclResult>)&GetVersion,
        "ncclGetErrorString" => (nint)(delegate* unmanaged<NcclResult, byte*>)&GetErrorString,
        "ncclCommInitRankConfig" => (nint)(delegate* unmanaged<nint*, int, NcclUniqueId, int, uint*, NcclResult>)&Initialize,
        "ncclReduce" => (nint)(delegate* unmanaged<nint, nint, nuint, int, int, int, nint, nint, NcclResult>)&Reduce,
        _ => 1,
    };

    [UnmanagedCallersOnly]
    private static NcclResult GetVersion(int* version)
    {
        *version = 22602;
        return NcclResult.Success;
    }

    [UnmanagedCallersOnly]
    private static NcclResult GetOldVersion(int* version)
    {
        *version = 21003;
        return NcclResult.Success;
    }

    [UnmanagedCallersOnly]
    private static byte* GetErrorString(NcclResult result) => result == NcclResult.SystemError
        ? (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference("what it means\0"u8))
        : null;

    [UnmanagedCallersOnly]
    private static NcclResult Initialize(nint* communicator, int ranks, NcclUniqueId id, int rank, uint* configuration)
    {
        var bytes = id.ToArray();
        for (var i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] != (byte)(100 + i))
                return NcclResult.InternalError;
        }

        // size_t size; unsigned magic, version; int blocking.
        if (configuration[0] != 24 || configuration[1] != 0 || configuration[2] != 0xcafebeef || configuration[3] != 21400 || configuration[4] != 0)
            return NcclResult.InvalidArgument;
        *communicator = (ranks * 10) + rank;
        return NcclResult.InProgress;
    }

    [UnmanagedCallersOnly]
    private static NcclResult Reduce(nint input, nint output, nuint count, int type, int reduction, int root, nint communicator, nint stream) =>
        (input, output, count, type, reduction, root, communicator, stream) == (1, 2, nuint.MaxValue, 9, 4, 7, 8, 9)
            ? NcclResult.InvalidUsage
            : NcclResult.InternalError;
}
