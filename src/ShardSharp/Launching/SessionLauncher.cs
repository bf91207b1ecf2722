using System.Collections;
using ShardSharp.Communication;
using ShardSharp.Communication.Local;
using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Launching;

/// <summary>Decides what this process is, the launcher of ranks or a rank, and acts accordingly.</summary>
internal sealed class SessionLauncher
{
    private readonly Action<Session> _program;
    private readonly ClusterEnvironment? _cluster;
    private readonly LoadedConfiguration _loaded;
    private readonly RunTerms _terms;

    public SessionLauncher(string[] arguments, Action<Session> program, ParallelConfiguration? defaults)
    {
        _program = program;
        var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string)entry.Value!);
        _cluster = ClusterEnvironment.Detect(environment, HostPlatform.Current.ParentProcessId());
        _loaded = ParallelConfiguration.Load(arguments, environment, defaults, _cluster?.WorldSize);
        _terms = new RunTerms(_loaded.Configuration.RendezvousTimeout, _loaded.Configuration.CollectiveTimeout);
    }

    private ParallelConfiguration Configuration => _loaded.Configuration;

    public int Run()
    {
        if (_cluster is not null)
            return JoinAsRank(_cluster);
        if (Configuration.Ranks == 1)
            return RunAlone();
        return Configuration.Backend == CommunicationBackend.Threads ? RunThreads() : RunProcesses();
    }

    private int RunAlone()
    {
        PrepareProcess(HostCores.ThreadsPerRank(1, HostCores.Available));
        return RankProgram.Run(_program, () => new Session(_loaded, new SoloProcessGroup("world", 0), (0, 1), new Lock()), roster: null);
    }

    private int RunThreads()
    {
        var ranks = Configuration.Ranks;
        PrepareProcess(HostCores.ThreadsPerRank(ranks, HostCores.Available));
        using var output = RankOutput.ForThreads(ranks);
        var rendezvous = new ThreadRendezvous(ranks, _terms);
        var construction = new Lock();
        var outcome = new ThreadLauncher { Ranks = ranks, Output = output, RankFailed = failure => rendezvous.Roster.Fail(Describe(failure)) }
            .Run(rank =>
            {
                using var session = new Session(_loaded, rendezvous.Join(rank).Group, (rank, ranks), construction);
                _program(session);
            });
        foreach (var line in outcome.Report())
            output.Error.WriteLine($"shardsharp: {line}");
        return outcome.ExitCode;
    }

    private int RunProcesses()
    {
        var launch = new LocalLaunch
        {
            Command = ProgramCommand.OfThisProcess(),
            Ranks = Configuration.Ranks,
            ThreadsPerRank = Configuration.ThreadsPerRank ?? HostCores.ThreadsPerRank(Configuration.Ranks, HostCores.Available),
        };
        return new LocalProcessLauncher(launch, LaunchConsole.OfThisProcess()).Run().ExitCode;
    }

    private int JoinAsRank(ClusterEnvironment cluster)
    {
        Require(cluster);
        using var binding = LauncherBinding.FromEnvironment();
        var writesToTerminal = cluster.Launcher != RankLauncher.ShardSharp || !Console.IsOutputRedirected;
        using var output = writesToTerminal ? RankOutput.ForTerminal(cluster.Rank, cluster.WorldSize) : null;
        PrepareProcess(HostCores.ThreadsPerRank(cluster.LocalSize, HostCores.Available));
        if (cluster.WorldSize == 1)
            return RunAlone();
        var world = new SharedMemoryRendezvous(cluster.Job, cluster.WorldSize, _terms).Join(cluster.Rank);
        return RankProgram.Run(
            _program, () => new Session(_loaded, world.Group, (cluster.LocalRank, cluster.LocalSize), new Lock()), world.Roster,
            isSupervised: binding is not null);
    }
}
