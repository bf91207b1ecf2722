using System.CommandLine;
using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary><c>collectives</c>: the speed of communication.</summary>
internal static class CollectivesCommand
{
    private const string SharedMemory = "shared-memory";
    private const string Threads = "threads";

    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 2, "Number of ranks.");
        var backend = new Option<string>("--backend")
        {
            Description = "shared-memory (local processes) or threads (of one process).",
            DefaultValueFactory = _ => SharedMemory,
        };
        backend.AcceptOnlyFromAmong(SharedMemory, Threads);

        var command = new Command("collectives", "Times collectives of float32 tensors from 4 KiB to 128 MiB.") { ranks, backend };
        command.SetAction(arguments =>
        {
            var name = arguments.GetValue(backend)!;
            var configuration = new ParallelConfiguration
            {
                Ranks = arguments.GetValue(ranks),
                Backend = name == Threads ? CommunicationBackend.Threads : CommunicationBackend.SharedMemory,
            };
            return RankRun.Launch(configuration, session => new CollectivesBenchmark(session.Groups.World, name).Run());
        });
        return command;
    }
}
