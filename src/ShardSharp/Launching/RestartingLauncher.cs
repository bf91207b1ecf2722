using System.Globalization;
using System.Security.Cryptography;
using ShardSharp.Topology;

namespace ShardSharp.Launching;

/// <summary>Runs all ranks of a job, and all of them anew after one has failed.</summary>
/// <remarks>
/// What more of the same cannot mend is not tried again: a wrong configuration. Neither is what someone stopped: a signal to the launcher.
/// </remarks>
/// <param name="launch">What to start; every attempt gets a job name of its own.</param>
/// <param name="maximum">How often to start anew.</param>
/// <param name="console">Where the ranks' output and the launcher's reports go.</param>
internal sealed class RestartingLauncher(LocalLaunch launch, int maximum, LaunchConsole console)
{
    /// <returns>The exit code of the last attempt.</returns>
    /// <inheritdoc cref="LocalProcessLauncher.Run()"/>
    public int Run()
    {
        for (var restart = 0; ; restart++)
        {
            var outcome = new LocalProcessLauncher(Attempt(restart), console).Run();
            var isFinal = outcome.Signal is not null || outcome.ExitCode is ExitCodes.Success or ExitCodes.BadConfiguration;
            if (isFinal || maximum == 0)
                return outcome.ExitCode;
            var consequence = restart == maximum ? "no restarts are left" : "starting all ranks again";
            console.ReportAsync([$"attempt {restart + 1} of {maximum + 1} failed; {consequence}."]).GetAwaiter().GetResult();
            if (restart == maximum)
                return outcome.ExitCode;
        }
    }

    /// <summary>How often the run of this process has been started again.</summary>
    /// <exception cref="ClusterEnvironmentException">The variable holds no number.</exception>
    public static int CountOf(IReadOnlyDictionary<string, string> environment)
    {
        var text = environment.GetValueOrDefault(RankVariables.Restart, "0");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            ? count
            : throw new ClusterEnvironmentException($"{RankVariables.Restart}='{text}' is no count; only ShardSharp's launcher sets it.");
    }

    private LocalLaunch Attempt(int restart) => restart == 0 ? launch : launch with
    {
        Job = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)),
        Environment = new Dictionary<string, string>(launch.Environment)
        {
            [RankVariables.Restart] = restart.ToString(CultureInfo.InvariantCulture),
        },
    };
}
