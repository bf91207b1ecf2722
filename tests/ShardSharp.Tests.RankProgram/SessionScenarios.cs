using System.Diagnostics;
using System.Net.Sockets;
using ShardSharp;
using ShardSharp.Communication;
using ShardSharp.Tests.HuggingFace;
using TorchSharp;

/// <summary>Training programs in miniature: what <see cref="ModelParallel"/> makes of ranks that work, and of one that does not.</summary>
internal static class SessionScenarios
{
    /// <summary>The rank on which things go wrong.</summary>
    private const int Culprit = 1;

    public static int Run(string[] arguments) => ModelParallel.Launch(arguments, Play);

    private static void Play(Session session)
    {
        var isCulprit = session.Rank == Culprit;
        var scenario = session.Arguments[1];
        switch (scenario)
        {
            case "sum":
                Console.WriteLine($"{session.Rank} of {session.Size} sums up to {SumOf(session.Rank + 1, session)}");
                Console.Error.WriteLine("done");
                break;

            case "shard":
                ShardingScenario.Play(session);
                break;

            case "checkpoint":
                CheckpointScenario.Play(session);
                break;

            case "pipeline-memory":
                PipelineMemoryScenario.Play(session);
                break;

            case "offload":
                OffloadingScenario.Play(session);
                break;

            case "throw" when isCulprit:
                ReadBatch();
                break;

            case "exhaust-memory" when isCulprit:
                torch.empty(1L << 46).Dispose();
                break;

            case "throw-and-tidy-up":
                try
                {
                    if (isCulprit)
                        ReadBatch();
                }
                finally
                {
                    SumOf(1, session);
                }

                break;

            case "die" when isCulprit:
                using (var self = Process.GetCurrentProcess())
                    self.Kill();
                break;

            case "die-sharing-memory":
                DieSharingMemory(session, name: session.Arguments[2], dies: isCulprit);
                break;

            case "exit" when isCulprit:
                Environment.Exit(3);
                break;

            case "return" when isCulprit:
                break;

            case "differ" when isCulprit:
                session.Groups.World.Barrier();
                break;

            case "curve":
                Console.WriteLine($"{session.Rank} of {session.Size}: {new ReferenceCurve(session.Arguments[2]).Run(session)[^1]:R}");
                break;

            case "meet":
                Meet(session.Arguments[2], waits: isCulprit);
                SumOf(1, session);
                break;

            default:
                SumOf(1, session);
                break;
        }
    }

    /// <summary>One rank dies while all use memory of theirs; it stays usable for those who live.</summary>
    private static void DieSharingMemory(Session session, string name, bool dies)
    {
        const long Elements = 1 << 20;
        using var group = session.Groups.World.Split(name, [[.. Enumerable.Range(0, session.Size)]]);
        using var memory = group.AllocateShared(Elements * sizeof(float));
        using var all = memory.View(0, [Elements], torch.ScalarType.Float32);
        if (dies)
        {
            all.fill_(7);
            using var self = Process.GetCurrentProcess();
            self.Kill();
        }

        try
        {
            group.Barrier();
        }
        catch (RankFailedException)
        {
            Console.WriteLine($"holds {all.sum().item<float>() / Elements}");
            throw;
        }
    }

    private static float SumOf(float value, Session session)
    {
        using var values = torch.full(4, value);
        session.Groups.World.AllReduce(values, ReduceOperation.Sum);
        return values[0].item<float>();
    }

    private static void ReadBatch() => throw new InvalidOperationException("sample 17 is empty\nsee the data set's manual");

    /// <summary>Tells the test that this rank has come; one of them then stays until the test ends it.</summary>
    private static void Meet(string path, bool waits)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        socket.Send(BitConverter.GetBytes(Environment.ProcessId));
        if (waits)
            socket.Receive(new byte[1]);
    }
}
