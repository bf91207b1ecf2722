using System.CommandLine;
using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary><c>collectives</c>: the speed of communication.</summary>
internal static class CollectivesCommand
{
    private const string SharedMemory = "shared-memory";
    private const string Threads = "threads";
    private const string Mpi = "mpi";

    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 2, "Number of ranks.");
        var backend = new Option<string>("--backend")
        {
            Description = "shared-memory (local processes), threads (of one process), or mpi (under mpirun, which sets the number of ranks).",
            DefaultValueFactory = _ => SharedMemory,
        };
        backend.AcceptOnlyFromAmong(SharedMemory, Threads, Mpi);

        var command = new Command("collectives", "Times collectives of float32 tensors from 4 KiB to 128 MiB.") { ranks, backend };
        command.SetAction(arguments =>
        {
            var name = arguments.GetValue(backend)!;
            var configuration = new ParallelConfiguration
            {
                Ranks = arguments.GetValue(ranks),
                Backend = name switch
                {
                    Threads => CommunicationBackend.Threads,
                    Mpi => CommunicationBackend.Mpi,
                    _ => CommunicationBackend.SharedMemory,
                },
            };
            return RankRun.Launch(configuration, session => new CollectivesBenchmark(session.Groups.World, name).Run());
        });
        return command;
    }
}
