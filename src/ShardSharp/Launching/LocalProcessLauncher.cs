using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Launching;

/// <summary>Runs all ranks of one job as processes on this host, from their start to the last trace of them.</summary>
/// <param name="launch">What to start.</param>
/// <param name="console">Where the ranks' output and the launcher's report go.</param>
internal sealed class LocalProcessLauncher(LocalLaunch launch, LaunchConsole console)
{
    /// <summary>
    /// Starts the ranks and returns when all have ended. Blocks the calling thread on purpose: the system ties the ranks' lives to it.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">The system is not Linux.</exception>
    /// <exception cref="InvalidOperationException">The program cannot be started; what had been started is gone again.</exception>
    public LaunchOutcome Run()
    {
        using var interrupts = new LaunchInterrupts();
        return Run(interrupts);
    }

    /// <param name="interrupts">Signals to the launcher; disposed once no rank runs, so that they have their usual effect again.</param>
    internal LaunchOutcome Run(LaunchInterrupts interrupts)
    {
        HostPlatform.Current.RequireRankProcesses();
        var ranks = new List<RankProcess>(launch.Ranks);
        try
        {
            for (var rank = 0; rank < launch.Ranks; rank++)
                ranks.Add(RankProcess.Start(launch, rank, console));

            var supervisor = new RankSupervisor(ranks, launch.Grace, interrupts.Signals);
            var outcome = supervisor.RunAsync().GetAwaiter().GetResult();
            interrupts.Dispose();
            if (outcome.ExitCode != ExitCodes.Success)
                EndLeftovers(outcome);
            Task.WhenAll(ranks.Where(rank => rank.Exit.IsCompleted).Select(rank => rank.Relayed)).GetAwaiter().GetResult();
            console.ReportAsync(outcome.Report()).GetAwaiter().GetResult();
            return outcome;
        }
        finally
        {
            ranks.ForEach(rank => rank.Dispose());
        }
    }

    /// <summary>Processes that ranks had started (data loaders, say) outlive a rank that was killed, and so do the runtime's files.</summary>
    private void EndLeftovers(LaunchOutcome outcome)
    {
        foreach (var killed in outcome.Exits.Where(exit => exit.Signal is not null))
            HostPlatform.Current.RemoveRuntimeFiles(killed.ProcessId);
        foreach (var processId in HostPlatform.Current.ProcessesWithEnvironment(RankVariables.Job, launch.Job))
            HostPlatform.Current.Kill(processId);
    }
}
