using System.Diagnostics;
using System.Globalization;
using ShardSharp.Communication.Mpi;
using ShardSharp.Native;
using ShardSharp.Tests.Communication;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>What the ranks of an MPI job do in tests: everything that must work, and everything that may go wrong.</summary>
internal static class MpiScenarios
{
    /// <summary>Waited for by ranks that never answer.</summary>
    private static readonly ManualResetEventSlim Never = new();

    /// <param name="arguments">
    /// "mpi", the scenario, and which ranks are to think that they share a host: "all", "2 each" in a row, or in turns on "2 hosts"; "real" for
    /// those that do.
    /// </param>
    public static int Run(string[] arguments)
    {
        if (arguments[2].Split(' ') is [var number, var kind])
        {
            var count = int.Parse(number, CultureInfo.InvariantCulture);
            Environment.SetEnvironmentVariable(RankVariables.Host, $"host-{(kind == "each" ? RankOfProcess / count : RankOfProcess % count)}");
        }

        return ModelParallel.Launch(
            arguments,
            session => Play(session.Arguments[1], session),
            new ParallelConfiguration { Backend = CommunicationBackend.Mpi, CollectiveTimeout = TimeSpan.FromSeconds(60) });
    }

    private static int RankOfProcess => int.Parse(
        Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") ?? Environment.GetEnvironmentVariable("PMI_RANK")!, CultureInfo.InvariantCulture);

    private static void Play(string scenario, Session session)
    {
        var world = session.Groups.World;
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
            case "shard":
                ShardingScenario.Play(session);
                break;
            case "throw" when world.Rank == 1:
                throw new InvalidOperationException("out of cheese");
            case "traffic":
                TrafficScenario.Play(world);
                break;
            case "straggle":
                Straggle(session);
                break;
            case "die" when world.Rank == 1:
                Console.WriteLine($"dying at {TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds()}");
                Process.GetCurrentProcess().Kill();
                break;
            case "finish-early" when world.Rank == 1:
                break;
            case "wait-for-ever" when world.Rank == 1:
                Never.Wait();
                break;
            case "malformed-notice" or "malformed-call" when world.Rank == 1:
                SendGarbage((MpiProcessGroup)world, isNotice: scenario == "malformed-notice");
                world.Barrier();
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
            case "malformed-notice" or "malformed-call":
                world.Barrier();
                break;
            default:
                world.AllReduce(zeros(100_000));
                break;
        }
    }

    /// <summary>Sends rank 0 messages of random bytes where it expects notices, which it takes at any time, or a call.</summary>
    private static unsafe void SendGarbage(MpiProcessGroup world, bool isNotice)
    {
        var random = new Random(3);
        var bytes = new byte[1000];
        for (var i = 0; i < (isNotice ? 50 : 1); i++)
        {
            random.NextBytes(bytes);
            if (isNotice && i % 2 == 0)
                bytes.AsSpan(0, 4).Clear(); // a rank that exists
            fixed (byte* message = bytes)
            {
                var request = world.World.Communicator.Send(message, bytes.Length, 0, isNotice ? 0 : world.CollectiveTag);
                while (!world.World.Communicator.Test(ref request))
                    Thread.Yield();
            }
        }
    }

    /// <summary>Rank 2 comes later than the others to every operation; the first rank prints who was waited for.</summary>
    private static void Straggle(Session session)
    {
        double[] value = [1];
        for (var i = 0; i < 30; i++)
        {
            // Asleep, so that the others do not compete with it for a core and become slow as well; and for longer than a busy machine
            // keeps a rank from its core, many at a time.
            if (session.Rank == 2)
                SharedWord.Nap(TimeSpan.FromMilliseconds(60));
            session.Groups.World.AllReduce(value);
        }

        var report = session.StragglerReport();
        if (session.IsFirstRank)
            Console.WriteLine($"stragglers: {string.Join(", ", report.Stragglers.Select(straggler => straggler.Rank))}");
    }
}
