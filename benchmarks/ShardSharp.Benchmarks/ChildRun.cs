using System.Diagnostics;
using ShardSharp.Launching;

namespace ShardSharp.Benchmarks;

/// <summary>Runs this program once more, so that every measurement begins with fresh memory.</summary>
internal static class ChildRun
{
    /// <summary>Runs <c>train</c> and reads its result.</summary>
    /// <exception cref="InvalidOperationException">The run failed; what it wrote to its error stream has been passed on.</exception>
    public static async Task<TrainResult> Train(IReadOnlyList<string> options, CancellationToken cancellation)
    {
        var self = ProgramCommand.OfThisProcess();
        // The program's own arguments end the list: `figures` is the first of them.
        var host = self.Arguments.TakeWhile(argument => argument != "figures");
        var start = new ProcessStartInfo(self.FileName, [.. host, "train", .. options]) { RedirectStandardOutput = true };
        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{self.FileName} does not start.");
        await using var end = cancellation.Register(process.Kill);
        var output = await process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        await process.WaitForExitAsync(CancellationToken.None);
        cancellation.ThrowIfCancellationRequested();
        return process.ExitCode == 0
            ? JsonLine.Parse<TrainResult>(output)
            : throw new InvalidOperationException($"'train {string.Join(' ', options)}' ended with code {process.ExitCode}.");
    }
}
