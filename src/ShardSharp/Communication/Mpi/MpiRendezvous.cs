using ShardSharp.Communication.Local;
using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>Where the processes that an MPI launcher started become the ranks of a run.</summary>
internal static class MpiRendezvous
{
    /// <summary>Loads the launcher's MPI library and joins the job; all ranks do it together.</summary>
    /// <param name="rank">World rank that the launcher gave this process.</param>
    /// <param name="size">Ranks that it started.</param>
    /// <param name="localSize">Those of them on this host.</param>
    /// <param name="prefersMpich">Whether it is of the MPICH family, where both kinds of libraries are installed.</param>
    /// <param name="terms">How long ranks wait for each other.</param>
    /// <exception cref="DllNotFoundException">No MPI library is installed.</exception>
    /// <exception cref="CommunicationException">The library cannot be used, or belongs to another launcher.</exception>
    public static MpiWorld Join(int rank, int size, int localSize, bool prefersMpich, RunTerms terms)
    {
        try
        {
            var named = Environment.GetEnvironmentVariable(MpiLibraryNames.Variable);
            var communicator = new MpiCommunicator(MpiLibrary.Load(MpiLibraryNames.Candidates(named, prefersMpich)));
            if ((communicator.Rank, communicator.Size) == (rank, size))
                return new MpiWorld(communicator, terms, localSize);
            communicator.End();
            throw new CommunicationException(
                $"The launcher says that this process is rank {rank} of {size}, but {communicator.Description} says rank {communicator.Rank} of "
                + $"{communicator.Size}: they belong to different MPI installations. Start the program with the mpirun of that library, or name the "
                + $"launcher's library in {MpiLibraryNames.Variable}.");
        }
        catch (Exception failure) when (failure is MpiException or NotSupportedException)
        {
            throw new CommunicationException(failure.Message, failure);
        }
    }
}
