using System.Collections;
using System.Runtime.InteropServices;
using ShardSharp.Communication;
using ShardSharp.Communication.Hierarchical;
using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;
using ShardSharp.Topology;
using TorchSharp;

namespace ShardSharp.Launching;

/// <summary>Decides what this process is, the launcher of ranks or a rank, and acts accordingly.</summary>
internal sealed class SessionLauncher
{
    private readonly Action<Session> _program;
    private readonly ClusterEnvironment? _cluster;
    private readonly LoadedConfiguration _loaded;
    private readonly RunTerms _terms;
    private readonly int _restarts;
    private readonly CallSite _site;

    public SessionLauncher(string[] arguments, Action<Session> program, ParallelConfiguration? defaults, CallSite site)
    {
        _site = site;
        _program = session =>
        {
            program(session);
            session.WarnOfStragglers();
        };
        var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string)entry.Value!);
        _cluster = ClusterEnvironment.Detect(environment, HostPlatform.Current.ParentProcessId());
        _restarts = RestartingLauncher.CountOf(environment);
        _loaded = ParallelConfiguration.Load(arguments, environment, defaults, _cluster?.WorldSize);
        _terms = new RunTerms(_loaded.Configuration.RendezvousTimeout, _loaded.Configuration.CollectiveTimeout)
        {
            Report = new FailureOutput(_loaded.Configuration.FlightRecorderFile).Write,
        };
    }

    private ParallelConfiguration Configuration => _loaded.Configuration;

    public int Run()
    {
        if (_cluster is not null)
            return JoinAsRank(_cluster);
        if (Configuration.Ranks == 1)
            return RunAlone();
        return Configuration.Backend switch
        {
            CommunicationBackend.Threads => RunThreads(),
            CommunicationBackend.Mpi => throw new PlatformNotSupportedException(
                $"backend = mpi needs ranks that an MPI launcher started: mpirun -np {Configuration.Ranks} dotnet <program>.dll"),
            _ => RunProcesses(),
        };
    }

    private int RunAlone()
    {
        PrepareProcess(localRanks: 1);
        return new RankProgram(0, _program, failures: null, binding: null).Run(
            () => CreateSession(new SoloProcessGroup("world", 0), (0, 1)));
    }

    private int RunThreads()
    {
        var ranks = Configuration.Ranks;
        PrepareProcess(ranks);
        using var output = RankOutput.ForThreads(ranks);
        using var rendezvous = new ThreadRendezvous(ranks, _terms);
        var construction = new Lock();
        var launcher = new ThreadLauncher
        {
            Ranks = ranks,
            Output = output,
            RankFailed = failure => rendezvous.Roster.Fail(FailureText.Announcement(failure.Rank, failure.Exception)),
        };
        var outcome = launcher.Run(rank =>
        {
            using var session = new Session(_loaded, rendezvous.Join(rank).Group, (rank, ranks), construction, _site);
            _program(session);
            session.FinishCheckpoint();
        });
        LaunchConsole.OfThisProcess().ReportAsync(outcome.Report()).GetAwaiter().GetResult();
        return outcome.ExitCode;
    }

    private int RunProcesses()
    {
        // Said once here, not by every rank.
        HostPlatform.Current.RequireRankProcesses();
        TorchLibrary.RequireInstalled();
        if (Configuration.UsesNccl)
            RankDevice.RequireEnough(Configuration.Ranks);
        var launch = new LocalLaunch
        {
            Command = ProgramCommand.OfThisProcess(),
            Ranks = Configuration.Ranks,
            ThreadsPerRank = ThreadsOf(Configuration.Ranks),
        };
        return new RestartingLauncher(launch, Configuration.MaximumRestarts, LaunchConsole.OfThisProcess()).Run();
    }

    private int JoinAsRank(ClusterEnvironment cluster)
    {
        RequireProcesses(cluster);
        using var binding = LauncherBinding.FromEnvironment();

        using var output = RankOutput.ForProcess(
            cluster.Rank, cluster.WorldSize, outputIsRelayed: binding is not null && Console.IsOutputRedirected, errorIsRelayed: binding is not null);
        if (cluster.WorldSize == 1)
            return RunAlone();
        if (binding is not null)
            HostCores.Pin(cluster.LocalRank, cluster.LocalSize, ThreadsOf(cluster.LocalSize));
        PrepareProcess(cluster.LocalSize);
        if (Configuration.Backend == CommunicationBackend.Mpi || cluster.LocalSize != cluster.WorldSize)
            return JoinThroughMpi(cluster);
        var world = new SharedMemoryRendezvous(cluster.Job, cluster.WorldSize, _terms).Join(cluster.Rank);
        return new RankProgram(cluster.Rank, _program, world.Roster, binding).Run(
            () => CreateSession(world.Group, (cluster.LocalRank, cluster.LocalSize)));
    }

    private int JoinThroughMpi(ClusterEnvironment cluster)
    {
        var isMpich = cluster.Launcher is RankLauncher.Hydra or RankLauncher.Mvapich;
        var world = MpiRendezvous.Join(cluster.Rank, cluster.WorldSize, cluster.LocalSize, isMpich, _terms);
        using var told = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => world.ToldToEnd(Console.Error.WriteLine));
        var exitCode = new RankProgram(cluster.Rank, _program, world, binding: null).Run(() =>
        {
            var host = Environment.GetEnvironmentVariable(RankVariables.Host) ?? Environment.MachineName;
            return CreateSession(HostRendezvous.Join(world, host, _site), (cluster.LocalRank, cluster.LocalSize));
        });

        // Where a rank failed the next call does not return.
        Console.Out.Flush();
        Console.Error.Flush();
        world.End(exitCode);
        return exitCode;
    }

    /// <summary>Makes the session of a rank that is a process of its own, on its GPU where the configuration asks for one.</summary>
    private Session CreateSession(ProcessGroup world, (int Rank, int Size) place)
    {
        if (!Configuration.UsesNccl)
            return new Session(_loaded, world, place, new Lock(), _site) { RestartCount = _restarts };
        var device = RankDevice.Open(place.Rank, place.Size);
        var group = world.Size == 1 ? world : NcclRendezvous.Join(world, device, Configuration.CollectiveTimeout, _site);
        return new Session(_loaded, group, place, new Lock(), _site, torch.device(DeviceType.CUDA, device.Index)) { RestartCount = _restarts };
    }

    private void RequireProcesses(ClusterEnvironment cluster)
    {
        var launcher = Launchers.NameOf(cluster.Launcher);
        if (Configuration.Backend == CommunicationBackend.Threads && cluster.WorldSize > 1)
        {
            throw new PlatformNotSupportedException(
                $"backend = threads makes all ranks threads of one process, but {launcher} started {cluster.WorldSize} processes. Start the "
                + "program by itself, or leave the backend out.");
        }
    }

    private void PrepareProcess(int localRanks)
    {
        TensorAllocator.Install();
        torch.set_num_threads(ThreadsOf(localRanks));
    }

    private int ThreadsOf(int localRanks) => Configuration.ThreadsPerRank ?? HostCores.ThreadsPerRank(localRanks, HostCores.Available);
}
