namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>The MPI implementations that tests run under.</summary>
internal static class MpiLaunchers
{
    public const string OpenMpi = "mpirun.openmpi";
    public const string Mpich = "mpirun.mpich";

    /// <summary>Far more than any job takes, in milliseconds: one that hangs should fail its test and not stop the run.</summary>
    public const int Deadline = 300_000;

    public static TheoryData<string> All => [OpenMpi, Mpich];
}
