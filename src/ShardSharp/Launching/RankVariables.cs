using System.Globalization;
using ShardSharp.Native;

namespace ShardSharp.Launching;

/// <summary>The environment variables through which the local launcher tells a process which rank it is.</summary>
internal static class RankVariables
{
    public const string Rank = "SHARDSHARP_RANK";
    public const string WorldSize = "SHARDSHARP_WORLD_SIZE";
    public const string LocalRank = "SHARDSHARP_LOCAL_RANK";
    public const string LocalSize = "SHARDSHARP_LOCAL_SIZE";

    /// <summary>A random name all ranks of one launch share, and no other process has.</summary>
    public const string Job = "SHARDSHARP_JOB";

    /// <summary>The launcher: its process id and, after a colon, the tick of its start, which no other process of that id shares.</summary>
    public const string Launcher = "SHARDSHARP_LAUNCHER";

    /// <summary>Read by OpenMP and by MKL, before the first operation, for how many threads to compute with.</summary>
    public static IReadOnlyList<string> ComputeThreads { get; } = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"];

    /// <summary>Puts what the rank needs to know into its environment.</summary>
    public static void Set(IDictionary<string, string?> environment, LocalLaunch launch, int rank)
    {
        string size = launch.Ranks.ToString(CultureInfo.InvariantCulture);
        string number = rank.ToString(CultureInfo.InvariantCulture);
        environment[Rank] = environment[LocalRank] = number;
        environment[WorldSize] = environment[LocalSize] = size;
        environment[Job] = launch.Job;
        environment[Launcher] = string.Create(
            CultureInfo.InvariantCulture, $"{ProcessIdentity.Current.Id}:{ProcessIdentity.Current.StartTicks}");
        foreach (string variable in ComputeThreads)
            environment[variable] = launch.ThreadsPerRank.ToString(CultureInfo.InvariantCulture);
    }
}
