using System.Diagnostics;
using System.Globalization;
using ShardSharp.Communication;
using ShardSharp.Tests.Communication;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>What the ranks of an MPI job do in tests: everything that must work, and everything that may go wrong.</summary>
internal static class MpiScenarios
{
    /// <summary>Waited for by ranks that never answer.</summary>
    private static readonly ManualResetEventSlim Never = new();

    /// <param name="arguments">"mpi", the scenario, and how many ranks in a row are to think that they share a host; 0 for all.</param>
    public static int Run(string[] arguments)
    {
        if (arguments[2] is not "0")
            Environment.SetEnvironmentVariable(RankVariables.Host, $"host-{RankOfProcess / int.Parse(arguments[2], CultureInfo.InvariantCulture)}");
        return ModelParallel.Launch(
            arguments,
            session =>
            {
                if (session.Arguments[1] == "shard")
                    ShardingScenario.Play(session);
                else
                    Play(session.Arguments[1], session.Groups.World);
            },
            new ParallelConfiguration { Backend = CommunicationBackend.Mpi, CollectiveTimeout = TimeSpan.FromSeconds(60) });
    }

    private static int RankOfProcess => int.Parse(
        Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") ?? Environment.GetEnvironmentVariable("PMI_RANK")!, CultureInfo.InvariantCulture);

    private static void Play(string scenario, ProcessGroup world)
    {
        switch (scenario)
        {
            case "conformance":
                Console.WriteLine($"group: {world.GetType().Name}");
                foreach (var (name, program) in Conformance.Programs)
                {
                    program(world);
                    if (world.Rank == 0)
                        Console.WriteLine($"conforms: {name}");
                }

                break;
            case "throw" when world.Rank == 1:
                throw new InvalidOperationException("out of cheese");
            case "die" when world.Rank == 1:
                Process.GetCurrentProcess().Kill();
                break;
            case "finish-early" when world.Rank == 1:
                break;
            case "wait-for-ever" when world.Rank == 1:
                Never.Wait();
                break;
            case "disagree":
                world.AllReduce(zeros(3 + world.Rank));
                break;
            case "disagree-on-message" when world.Rank == 1:
                world.Receive(zeros(5), 0);
                break;
            case "disagree-on-message" when world.Rank == 0:
                world.Send(zeros(4), 1);
                world.Barrier();
                break;
            default:
                world.AllReduce(zeros(100_000));
                break;
        }
    }
}
