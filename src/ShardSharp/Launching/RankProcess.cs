using System.ComponentModel;
using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Launching;

/// <summary>One rank, as the launcher sees it: a child process whose output is passed on.</summary>
internal sealed class RankProcess : IDisposable
{
    private readonly Process _process;

    private RankProcess(LocalLaunch launch, int rank, Process process, LaunchConsole console)
    {
        _process = process;
        Rank = rank;
        ProcessId = process.Id;
        Exit = WaitAsync();
        var prefix = RankPrefix.Of(rank, launch.Ranks);
        Relayed = Task.WhenAll(
            process.StartInfo.RedirectStandardOutput ? Relay(process.StandardOutput, toError: false) : Task.CompletedTask,
            Relay(process.StandardError, toError: true));

        Task Relay(StreamReader stream, bool toError) =>
            OutputRelay.RunAsync(stream.BaseStream, console, toError, prefix, Exit, launch.Grace.Kill);
    }

    public int Rank { get; }

    public int ProcessId { get; }

    /// <summary>Completes when the process has ended.</summary>
    public Task<RankExit> Exit { get; }

    /// <summary>Completes when all it wrote has been passed on.</summary>
    public Task Relayed { get; }

    /// <summary>
    /// Starts one rank. Rank 0 keeps the launcher's standard input, and its terminal if there is one; the others read an empty input. The
    /// calling thread must live as long as the rank may: the system ends the rank with it (see <see cref="LauncherBinding"/>).
    /// </summary>
    /// <exception cref="InvalidOperationException">The program cannot be started.</exception>
    public static RankProcess Start(LocalLaunch launch, int rank, LaunchConsole console)
    {
        var start = new ProcessStartInfo(launch.Command.FileName, launch.Command.Arguments)
        {
            RedirectStandardInput = rank != 0,
            RedirectStandardOutput = rank != 0 || !console.OutputIsTerminal,
            RedirectStandardError = true,
        };
        foreach ((var variable, var value) in launch.EnvironmentOf(rank))
            start.Environment[variable] = value;

        try
        {
            var process = Process.Start(start)!;
            if (start.RedirectStandardInput)
                process.StandardInput.Close();
            return new RankProcess(launch, rank, process, console);
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException(
                $"Rank {rank} of {launch.Ranks} could not be started from {launch.Command.FileName}: {exception.Message}", exception);
        }
    }

    /// <summary>Asks the process to end.</summary>
    public void Terminate()
    {
        if (!_process.HasExited)
            HostPlatform.Current.Terminate(ProcessId);
    }

    /// <summary>Ends the process at once.</summary>
    public void Kill() => _process.Kill();

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }

    private async Task<RankExit> WaitAsync()
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        return new RankExit(Rank, ProcessId, _process.ExitCode);
    }
}
