using System.Diagnostics;
using ShardSharp.Launching;

namespace ShardSharp.Benchmarks;

/// <summary>This program with other arguments, and with a limit that the kernel enforces: RLIMIT_DATA, which bounds private memory.</summary>
internal static class LimitedProcess
{
    /// <param name="limit">MiB of private memory.</param>
    /// <param name="command">The command of this process, before whose name its arguments are those of the program.</param>
    /// <param name="arguments">What to run instead.</param>
    /// <param name="cancellation">Ends it.</param>
    public static async Task<(int ExitCode, string Output, string Error)> RunAsync(
        long limit, string command, IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var self = ProgramCommand.OfThisProcess();
        var start = new ProcessStartInfo(
            "prlimit", [$"--data={limit << 20}", self.FileName, .. self.Arguments.TakeWhile(argument => argument != command), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start) ?? throw new InvalidOperationException("prlimit does not start.");
        await using var end = cancellation.Register(process.Kill);
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = await process.StandardError.ReadToEndAsync(CancellationToken.None);
        await process.WaitForExitAsync(CancellationToken.None);
        cancellation.ThrowIfCancellationRequested();
        return (process.ExitCode, await output, error);
    }
}
