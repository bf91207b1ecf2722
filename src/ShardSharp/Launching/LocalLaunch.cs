using System.Globalization;
using System.Security.Cryptography;
using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Launching;

/// <summary>What to start on this host: all ranks of one job, as processes.</summary>
internal sealed record LocalLaunch
{
    /// <summary>What every rank runs.</summary>
    public required ProgramCommand Command { get; init; }

    /// <summary>How many ranks, at least 1.</summary>
    public required int Ranks { get; init; }

    /// <summary>Compute threads of each rank, at least 1.</summary>
    public required int ThreadsPerRank { get; init; }

    /// <summary>The name of this job. <value>Default: 16 random hexadecimal digits.</value></summary>
    public string Job { get; init; } = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));

    /// <summary>Set for every rank on top of what the launcher's own environment holds.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>How patient the launcher is when it ends the ranks.</summary>
    public LaunchGrace Grace { get; init; } = new();

    /// <summary>What a rank finds in its environment on top of what the launcher's own holds.</summary>
    public IReadOnlyDictionary<string, string> EnvironmentOf(int rank)
    {
        var launcher = ProcessIdentity.Current;
        return new Dictionary<string, string>(Environment)
        {
            [RankVariables.Rank] = Text(rank),
            [RankVariables.WorldSize] = Text(Ranks),
            [RankVariables.LocalRank] = Text(rank),
            [RankVariables.LocalSize] = Text(Ranks),
            [RankVariables.Job] = Job,
            [RankVariables.Launcher] = $"{Text(launcher.Id)}:{Text(launcher.StartTicks)}",

            // OpenMP and MKL read these before their first operation, long before the program could set a number of threads.
            ["OMP_NUM_THREADS"] = Text(ThreadsPerRank),
            ["MKL_NUM_THREADS"] = Text(ThreadsPerRank),
        };

        static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
    }
}

/// <summary>How long the launcher waits for ranks to do by themselves what it would else force.</summary>
internal sealed record LaunchGrace
{
    /// <summary>
    /// After the first failure, for the others to notice it and print their own report; a rank that waits takes some 0.1 s, one that starts
    /// or computes does not notice at all. <value>Default: 1 s.</value>
    /// </summary>
    public TimeSpan Report { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Between SIGTERM and SIGKILL after a failure, so that the run is over soon and can start again. <value>Default: 0.3 s.</value>
    /// </summary>
    public TimeSpan TerminateFailed { get; init; } = TimeSpan.FromSeconds(0.3);

    /// <summary>
    /// Between SIGTERM and SIGKILL where someone stopped the launch: programs may want to save what they have. <value>Default: 5 s.</value>
    /// </summary>
    public TimeSpan Terminate { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// For the system to end a rank after SIGKILL, and for output that a rank's own children keep open. <value>Default: 2 s.</value>
    /// </summary>
    public TimeSpan Kill { get; init; } = TimeSpan.FromSeconds(2);
}
