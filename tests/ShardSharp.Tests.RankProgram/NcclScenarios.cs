using System.Globalization;
using System.Runtime.InteropServices;
using ShardSharp.Communication;
using ShardSharp.Communication.Local;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;
using ShardSharp.Tests.Communication;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>The conformance programs and trainings on real GPUs, one for each rank; docs/testing.md tells how to run them.</summary>
internal static partial class NcclScenarios
{
    /// <summary>NCCL's maximum drops NaN.</summary>
    private const string NotOfNccl = "Max_and_min_pass_on_NaN";

    /// <param name="arguments">"nccl" and options of the launch; without <c>--ranks</c> there are as many ranks as GPUs.</param>
    public static int Run(string[] arguments)
    {
        // NCCL before 2.30 lets ranks share a GPU only where it takes them for ranks of several hosts.
        if (NcclRendezvous.SharesDevices && Environment.GetEnvironmentVariable(RankVariables.Rank) is { } rank)
            _ = SetVariable("NCCL_HOSTID", $"rank-{rank}", 1);
        return ModelParallel.Launch(arguments, Play, new ParallelConfiguration
        {
            Backend = CommunicationBackend.Nccl,
            Ranks = CudaDriver.Load().DeviceCount,
            CollectiveTimeout = TimeSpan.FromSeconds(60),
        });
    }

    private static void Play(Session session)
    {
        switch (session.Arguments)
        {
            case ["nccl"]:
                Conform(session);
                break;

            case ["nccl", "curve", var folder, var tolerance]:
                var curve = new ReferenceCurve(folder) { Tolerance = double.Parse(tolerance, CultureInfo.InvariantCulture) };
                var losses = curve.Run(session);
                if (session.IsFirstRank)
                    Console.WriteLine($"{Path.GetFileName(folder)} on {session.Size} x {session.Device} follows its reference to {losses[^1]:R}");
                break;

            case ["nccl", "continue", var folder, var checkpoints, var steps]:
                new ReferenceCurve(folder).Continue(session, checkpoints, int.Parse(steps, CultureInfo.InvariantCulture));
                if (session.IsFirstRank)
                    Console.WriteLine($"{Path.GetFileName(folder)} on {session.Size} x {session.Device} went on for {steps} steps");
                break;

            case ["nccl", "activations"]:
                DeviceMemoryScenario.Play(session);
                break;

            default:
                throw new ArgumentException($"No such scenario: {string.Join(' ', session.Arguments)}");
        }
    }

    private static void Conform(Session session)
    {
        // What the programs create without naming a device is on the rank's GPU from here on.
        set_default_device(session.Device);
        var isFirst = session.IsFirstRank;
        using (var single = session.Size == 1 ? Single(session) : null)
        {
            ConformanceData.OrderIsFree = true;
            var world = single ?? session.Groups.World;
            foreach (var (name, program) in Conformance.Programs.Where(program => program.Key != NotOfNccl))
            {
                program(world);
                if (isFirst)
                    Console.WriteLine($"{world.GetType().Name} of {world.Size} on {session.Device} conforms: {name}");
            }
        }

        if (session.Size > 1)
            return;
        ConformanceData.OrderIsFree = false;
        Task.WaitAll(Stage(ranks: 2));
    }

    /// <summary>NCCL with one rank, which a session of one rank has no need of.</summary>
    private static NcclProcessGroup Single(Session session) => NcclRendezvous.Join(
        new SoloProcessGroup("world", 0), CudaDevices.OfThisProcess.Open(session.Device.index), TimeSpan.FromMinutes(1), new CallSite("conformance", 0));

    /// <summary>Tensors of the GPU on a backend of the host's memory, by pinned staging: ranks are threads that share the GPU.</summary>
    private static Task[] Stage(int ranks)
    {
        var rendezvous = new ThreadRendezvous(ranks, new RunTerms(TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1)));
        return [.. Enumerable.Range(0, ranks).Select(rank => Task.Factory.StartNew(
            () => PlayStaged(rendezvous.Join(rank)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
    }

    private static void PlayStaged(LocalWorld world)
    {
        using var group = world.Group;

        // Memory that ranks share is the host's.
        var ofDevice = Conformance.Programs.Where(
            program => program.Value.Method.DeclaringType != typeof(MemoryPrograms) && program.Value.Method.DeclaringType != typeof(InPlacePrograms));
        foreach (var (name, program) in ofDevice)
        {
            program(group);
            if (group.Rank == 0)
                Console.WriteLine($"staging for {group.GetType().Name} of {group.Size} conforms: {name}");
        }
    }

    /// <summary>For native code: .NET's own environment is a copy.</summary>
    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
