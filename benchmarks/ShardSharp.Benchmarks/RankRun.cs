using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary>
/// Runs a measurement on several ranks and prints its lines as they are. What a rank prints gets its rank put before it, so results take
/// another way: through a file whose name the ranks inherit in their environment, printed when the ranks have ended.
/// </summary>
internal static class RankRun
{
    private const string FileVariable = "BENCHMARK_RESULTS_FILE";

    /// <param name="configuration">Ranks, backend and the like.</param>
    /// <param name="measure">What each rank does; its lines are printed for rank 0 and ignored for others.</param>
    /// <param name="finish">What becomes of the lines before they are printed, where the ranks were started from; nothing if null.</param>
    /// <returns>The exit code.</returns>
    public static int Launch(
        ParallelConfiguration configuration, Func<Session, IEnumerable<object>> measure, Func<IEnumerable<string>, IEnumerable<string>>? finish = null)
    {
        // This program is the launcher, or a rank that the launcher started.
        if (Environment.GetEnvironmentVariable(FileVariable) is { } inherited)
            return LaunchInto(inherited);
        var file = Path.GetTempFileName();
        try
        {
            Environment.SetEnvironmentVariable(FileVariable, file);
            var code = LaunchInto(file);
            IEnumerable<string> lines = File.ReadAllLines(file);
            if (code == ExitCodes.Success && finish is not null)
                lines = finish(lines);
            foreach (var line in lines)
                Console.WriteLine(line);
            return code;
        }
        finally
        {
            File.Delete(file);
        }

        int LaunchInto(string results) => ModelParallel.Launch(
            [],
            session =>
            {
                string[] lines = [.. measure(session).Select(JsonLine.Of)];
                if (session.IsFirstRank)
                    File.AppendAllLines(results, lines);
            },
            configuration);
    }
}
