using System.Globalization;
using System.Net.Sockets;
using ShardSharp.Communication;
using ShardSharp.Launching;
using ShardSharp.Topology;
using TorchSharp;

namespace ShardSharp.Tests;

/// <summary>What the ranks of a run do at the moment when a test kills one of them, or their launcher.</summary>
internal static class VictimScenario
{
    /// <param name="arguments">"session", "victim", the socket at which each rank tells its process id, and the moment.</param>
    public static int Run(string[] arguments)
    {
        var (path, moment) = (arguments[2], arguments[3]);
        if (Environment.GetEnvironmentVariable(RankVariables.Rank) is { } rank && moment == "rendezvous")
        {
            // ModelParallel.Launch begins with this: until then a rank is not tied to its launcher.
            using var binding = LauncherBinding.FromEnvironment();
            var test = Announce(path);
            if (int.Parse(rank, CultureInfo.InvariantCulture) == 1)
                WaitFor(test);
        }

        return ModelParallel.Launch(arguments, session => Play(session, path, moment));
    }

    /// <param name="arguments">"mpi-victim" and the socket at which each rank tells its process id.</param>
    public static int RunUnderMpi(string[] arguments) => ModelParallel.Launch(
        arguments,
        session => Play(session, session.Arguments[1], "collective"),
        new ParallelConfiguration { Backend = CommunicationBackend.Mpi });

    /// <summary>Tells the test that this rank has come so far.</summary>
    private static Socket Announce(string path)
    {
        var test = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        test.Connect(new UnixDomainSocketEndPoint(path));
        test.Send(BitConverter.GetBytes(Environment.ProcessId));
        return test;
    }

    private static void Play(Session session, string path, string moment)
    {
        var world = session.Groups.World;
        using var values = torch.ones(1 << 20);
        world.AllReduce(values);
        var test = moment is "start" or "rendezvous" ? null : Announce(path);
        switch (moment)
        {
            case "collective":
                while (true)
                    world.AllReduce(values, ReduceOperation.Max);
            case "computing":
                while (true)
                    Compute();
            case "training":
                while (true)
                {
                    Compute();
                    world.AllReduce(values, ReduceOperation.Mean);
                }

            case "asleep" when session.Rank == 1:
                WaitFor(test!);
                break;
            case "exiting":
                return;
        }

        world.Barrier();
    }

    private static void Compute()
    {
        using var matrix = torch.ones(700, 700);
        using var product = matrix.matmul(matrix);
    }

    /// <summary>Until the test ends; it never answers.</summary>
    private static void WaitFor(Socket test) => test.Receive(new byte[1]);
}
