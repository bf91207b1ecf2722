using System.CommandLine;
using ShardSharp.Communication;
using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary><c>collectives</c>: the speed of communication, beside that of its peers.</summary>
internal static class CollectivesCommand
{
    public const string Name = "collectives";

    private const string SharedMemory = "shared-memory";
    private const string Threads = "threads";
    private const string Mpi = "mpi";

    /// <summary>Up to this size the bound is how fast the cores exchange lines of their caches, which is measured too.</summary>
    private const int MostKibOfBound = 16;

    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 2, "Number of ranks.");
        var backend = new Option<string>("--backend")
        {
            Description = "shared-memory (local processes), threads (of one process), or mpi (under mpirun, which sets the number of ranks).",
            DefaultValueFactory = _ => SharedMemory,
        };
        backend.AcceptOnlyFromAmong(SharedMemory, Threads, Mpi);
        var shared = new Option<bool>("--shared") { Description = "Tensors in memory of the group instead of each rank's own." };
        var alone = new Option<bool>("--no-peers") { Description = "Leaves out the MPI libraries and PyTorch, also where they are installed." };

        var command = new Command(
            Name,
            "Times collectives of float32 tensors, and beside them those of Open MPI, MPICH and PyTorch (Gloo) where they are installed. "
            + $"{PeerRuns.PythonVariable} names the Python that has PyTorch.")
        {
            ranks, backend, shared, alone,
        };
        foreach (var option in CollectivesPlan.Options)
            command.Options.Add(option);
        command.SetAction(arguments =>
        {
            var (name, plan, withPeers) = (arguments.GetValue(backend)!, CollectivesPlan.From(arguments), !arguments.GetValue(alone));
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
            return RankRun.Launch(
                configuration,
                session => Measure(session.Groups.World, name, plan, arguments.GetValue(shared), withMpi: withPeers && name == Mpi),
                lines => withPeers && name != Mpi ? Compare(lines, new PeerRuns(arguments.GetValue(ranks), plan).Run()) : lines);
        });
        return command;
    }

    private static IEnumerable<CollectiveResult> Measure(ProcessGroup world, string name, CollectivesPlan plan, bool shared, bool withMpi)
    {
        using var memory = shared
            ? world.AllocateShared(BenchmarkTensors.SharedBytes(plan.Kibibytes.Max(), world.Size))
            : null;
        var results = new CollectivesBenchmark(new GroupCollectives(world), name, plan)
            .Run(kib => memory is null ? BenchmarkTensors.Private(kib, world.Size) : BenchmarkTensors.Shared(kib, world, memory))
            .Select(result => result with { Memory = shared ? "shared" : null })
            .ToList();
        if (name != Mpi && world.Size == 2 && plan.Kibibytes.Min() <= MostKibOfBound)
            results.InsertRange(0, BareExchange.Measure(world, plan.Kibibytes.Min()));
        if (!withMpi)
            return results;

        // The library that carries this backend is its peer, in the same job.
        var library = MpiLibrary.Load(MpiLibraryNames.Candidates(
            Environment.GetEnvironmentVariable(MpiLibraryNames.Variable), Environment.GetEnvironmentVariable("PMI_RANK") is not null));
        var peer = new CollectivesBenchmark(new MpiCollectives(library, world.Rank, world.Size), library.Abi.Name, plan)
            .Run(kib => BenchmarkTensors.Private(kib, world.Size))
            .ToList();
        return results.Select(result => result.Against(peer));
    }

    private static IEnumerable<string> Compare(IEnumerable<string> lines, IReadOnlyList<CollectiveResult> peers) =>
        lines.Select(line => JsonLine.Of(JsonLine.Parse<CollectiveResult>(line).Against(peers)));
}
