using System.CommandLine;
using ShardSharp.Launching;
using ShardSharp.Native;

namespace ShardSharp.Benchmarks;

/// <summary><c>mpi-collectives</c>: the collectives of an MPI library alone, under its own launcher. <c>collectives</c> runs it as a peer.</summary>
internal static class MpiPeerCommand
{
    public const string Name = "mpi-collectives";

    public static Command Create()
    {
        var command = new Command(Name, "Times the collectives of the MPI library whose mpirun started this, without ShardSharp.");
        foreach (var option in CollectivesPlan.Options)
            command.Options.Add(option);
        command.SetAction(arguments =>
        {
            TorchLibrary.Load();
            var named = Environment.GetEnvironmentVariable(MpiLibraryNames.Variable);
            var startedByHydra = Environment.GetEnvironmentVariable("PMI_RANK") is not null;
            var library = MpiLibrary.Load(MpiLibraryNames.Candidates(named, prefersMpich: startedByHydra));
            var world = new MpiCommunicator(library);
            var peer = new MpiCollectives(library, world.Rank, world.Size);
            var results = new CollectivesBenchmark(peer, library.Abi.Name, CollectivesPlan.From(arguments))
                .Run(kib => BenchmarkTensors.Private(kib, world.Size));
            foreach (var result in results)
            {
                if (world.Rank == 0)
                    Console.WriteLine(JsonLine.Of(result));
            }

            world.End();
            return ExitCodes.Success;
        });
        return command;
    }
}
