using ShardSharp.Native;

namespace ShardSharp.Tests.Native.Mpi;

public sealed class MpiAbiTests
{
    [Theory]
    [InlineData("MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7 12:34:45 CDT 2022\n")]
    [InlineData("Intel(R) MPI Library 2021.10 for Linux* OS\n")]
    [InlineData("MVAPICH2 Version      :\t2.3.7\n")]
    [InlineData("MVAPICH Version      :\t4.0\n")]
    [InlineData("MPI VERSION    : CRAY MPICH version 8.1.27.26 (ANL base 3.4a2)\n")]
    public void Relatives_of_mpich_are_recognised_by_their_version(string version) =>
        Assert.IsType<MpichAbi>(MpiAbi.Detect("libmpi.so.12", version, _ => 0));

    [Fact]
    public void Open_mpi_is_recognised_by_the_objects_it_exports()
    {
        var exported = new Dictionary<string, nint>
        {
            ["ompi_mpi_comm_world"] = 11, ["ompi_mpi_byte"] = 12, ["ompi_mpi_errors_return"] = 13,
        };
        var abi = MpiAbi.Detect("libmpi.so.40", "Open MPI v4.1.4", name => exported.GetValueOrDefault(name));

        Assert.IsType<OpenMpiAbi>(abi);
        Assert.Equal((11, 12, 13), (abi.World, abi.Byte, abi.ErrorsReturn));
        Assert.Equal((0, -1, 0, 2), (abi.StatusIgnore, abi.AnySource, abi.TagLimitKey, abi.ThreadSerialized));
    }

    [Fact]
    public void The_standard_interface_is_recognised_by_its_name_whoever_implements_it() =>
        Assert.IsType<StandardMpiAbi>(MpiAbi.Detect("libmpi_abi.so.1", "MPICH Version:\t5.0.0\n", _ => 1));

    [Fact]
    public void Another_library_is_refused()
    {
        var refusal = Assert.Throws<NotSupportedException>(() => MpiAbi.Detect("libother.so", "Other MPI 1.0\nrest", _ => 0));

        Assert.StartsWith("libother.so says it is 'Other MPI 1.0'", refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>mpi.h of MPICH 4.0.</summary>
    [Fact]
    public void Handles_of_mpich_are_those_of_its_header()
    {
        var abi = new MpichAbi();

        Assert.Equal((0x44000000, 0x4c00010d, 0x54000001), (abi.World, abi.Byte, abi.ErrorsReturn));
        Assert.Equal((1, -2, 0x64400001, 2), (abi.StatusIgnore, abi.AnySource, abi.TagLimitKey, abi.ThreadSerialized));
    }

    /// <summary>MPI 5.0, appendix A: constants of the standard binary interface.</summary>
    [Fact]
    public void Handles_of_the_standard_are_those_of_its_tables()
    {
        var abi = new StandardMpiAbi();

        Assert.Equal((0x101, 0x247, 0x142), (abi.World, abi.Byte, abi.ErrorsReturn));
        Assert.Equal((0, -1, 501, 2048), (abi.StatusIgnore, abi.AnySource, abi.TagLimitKey, abi.ThreadSerialized));
    }

    [Theory]
    [InlineData(null, false, "libmpi.so.40")]
    [InlineData(null, true, "libmpich.so.12")]
    [InlineData("/opt/mpi/libmpi.so", true, "/opt/mpi/libmpi.so")]
    public void The_library_that_fits_the_launcher_comes_first_unless_one_is_named(string? named, bool prefersMpich, string first) =>
        Assert.Equal(first, MpiLibraryNames.Candidates(named, prefersMpich)[0]);

    [Fact]
    public void A_library_that_is_missing_is_named_with_what_would_help()
    {
        var missing = Assert.Throws<DllNotFoundException>(() => MpiLibrary.Load(["libno-such-mpi.so.1"]));

        Assert.Contains("libno-such-mpi.so.1", missing.Message, StringComparison.Ordinal);
        Assert.Contains("SHARDSHARP_MPI_LIBRARY", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_without_mpi_is_refused()
    {
        var refusal = Assert.Throws<NotSupportedException>(() => MpiLibrary.Load(["libc.so.6"]));

        Assert.StartsWith("libc.so.6 has no MPI_", refusal.Message, StringComparison.Ordinal);
    }
}
