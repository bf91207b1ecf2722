using System.Globalization;
using ShardSharp.Communication;
using ShardSharp.Communication.Hierarchical;
using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;
using ShardSharp.Launching;
using ShardSharp.Native;
using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp;

namespace ShardSharp.Tests.Stress;

/// <summary>The command <c>stress</c> of the rank program: random operations on ranks of any kind (docs/testing.md).</summary>
internal static class StressProgram
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <param name="arguments">"stress", what ranks are, collectives, seed, ranks, and under MPI how many ranks a host has (0 for all).</param>
    public static int Run(string[] arguments)
    {
        int[] numbers = [.. arguments.Skip(2).Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
        var settings = new StressSettings(numbers[0], numbers[1]);
        TensorAllocator.Install();
        torch.set_num_threads(1);
        return (arguments[1], Environment.GetEnvironmentVariable(RankVariables.Rank)) switch
        {
            ("threads", _) => RunThreads(numbers[2], RankBackend.Threads, settings),
            ("shared-memory", _) => RunThreads(numbers[2], RankBackend.SharedMemory, settings),
            ("processes", null) => Launch(numbers[2]),
            ("processes", { } rank) => RunProcess(int.Parse(rank, CultureInfo.InvariantCulture), settings),
            ("mpi", _) => RunUnderMpi(numbers[2], numbers[3], settings),
            _ => ExitCodes.BadConfiguration,
        };
    }

    private static int RunThreads(int ranks, RankBackend backend, StressSettings settings)
    {
        var options = new RankHarnessOptions { Backend = backend, Deadline = Deadline, Delays = settings.CreateDelays() };
        return Report(settings, () => RankHarness.Run(ranks, world => StressRun.Play(world, settings, world.Rank == 0), options)[0]);
    }

    private static int Launch(int ranks)
    {
        var launch = new LocalLaunch { Command = ProgramCommand.OfThisProcess(), Ranks = ranks, ThreadsPerRank = 1 };
        return new LocalProcessLauncher(launch, LaunchConsole.OfThisProcess()).Run().ExitCode;
    }

    private static int RunProcess(int rank, StressSettings settings)
    {
        using var binding = LauncherBinding.FromEnvironment();
        var size = int.Parse(Environment.GetEnvironmentVariable(RankVariables.WorldSize)!, CultureInfo.InvariantCulture);
        var world = new SharedMemoryRendezvous(Environment.GetEnvironmentVariable(RankVariables.Job)!, size, Terms(settings)).Join(rank);
        using var group = world.Group;
        return Report(settings, () => StressRun.Play(group, settings, takesCensus: true), world.Roster);
    }

    private static int RunUnderMpi(int ranks, int ranksPerHost, StressSettings settings)
    {
        var isMpich = Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") is null;
        var rank = int.Parse(Environment.GetEnvironmentVariable(isMpich ? "PMI_RANK" : "OMPI_COMM_WORLD_RANK")!, CultureInfo.InvariantCulture);
        var world = MpiRendezvous.Join(rank, ranks, localSize: ranks, isMpich, Terms(settings));
        var group = HostRendezvous.Join(world, ranksPerHost == 0 ? "host" : $"host-{rank / ranksPerHost}", new CallSite(nameof(StressProgram), 0));
        Console.WriteLine($"group: {group.GetType().Name}");
        var exitCode = Report(settings, () => StressRun.Play(group, settings, takesCensus: true), world);
        if (exitCode == ExitCodes.Success)
            group.Dispose();
        world.End(exitCode);
        return exitCode;
    }

    private static RunTerms Terms(StressSettings settings) => new(Deadline, Deadline, settings.CreateDelays().Delay)
    {
        Report = report => Console.Error.WriteLine(report.Ranks()),
    };

    private static int Report(StressSettings settings, Func<IReadOnlyList<StressCensus>> run, IFailureBoard? failures = null)
    {
        try
        {
            var phases = run();
            for (var phase = 0; phase < phases.Count; phase++)
                Console.WriteLine($"after {settings.Collectives * (phase + 1) / StressSettings.Phases} collectives: {phases[phase]}");
            return StressCensus.Growth(phases) is { } growth ? throw new InvalidOperationException(growth) : ExitCodes.Success;
        }
        catch (Exception failure)
        {
            Console.Error.WriteLine($"{failure}\n{settings}");
            failures?.Fail(failure.Message);
            return ExitCodes.WorkFailed;
        }
    }
}
