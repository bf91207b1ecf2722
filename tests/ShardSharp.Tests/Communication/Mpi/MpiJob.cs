using System.Diagnostics;
using System.Text.RegularExpressions;

namespace ShardSharp.Tests.Communication.Mpi;

/// <summary>A real MPI job on this machine whose ranks play a scenario of the rank program.</summary>
/// <param name="ExitCode">What the launcher returned.</param>
/// <param name="Output">What launcher and ranks printed.</param>
/// <param name="Ended">When the launcher had ended.</param>
internal sealed partial record MpiJob(int ExitCode, string Output, DateTimeOffset Ended)
{
    private static readonly string ProgramFile = Path.Combine(AppContext.BaseDirectory, "ShardSharp.Tests.RankProgram.dll");

    /// <summary>Ranks put their number before each line, and what .NET tells a terminal may come before that.</summary>
    [GeneratedRegex(@"^\[rank \d+\] |\x1b\[\?1h\x1b=", RegexOptions.Multiline)]
    private static partial Regex Decoration { get; }

    /// <summary>Starts the launcher and waits for its end; skips the test where the launcher is not installed.</summary>
    /// <param name="launcher">File name of the launcher: <c>mpirun.openmpi</c> or <c>mpirun.mpich</c>.</param>
    /// <param name="ranks">Ranks to start.</param>
    /// <param name="scenario">What they do.</param>
    /// <param name="hosts">Which ranks believe that they share a host: <c>all</c>, <c>2 each</c> in a row, or in turns on <c>2 hosts</c>.</param>
    /// <param name="options">Options of the program.</param>
    public static Task<MpiJob> RunAsync(string launcher, int ranks, string scenario, string hosts = "all", params string[] options) =>
        EndOfAsync(Start(launcher, ranks, ["mpi", scenario, hosts, .. options]));

    /// <summary>The same with two ranks on each of two hosts that are joined by a network.</summary>
    public static Task<MpiJob> RunAsync(NetworkedHosts hosts, string launcher, string scenario, params string[] options)
    {
        _ = Find(launcher);
        return EndOfAsync(Start([.. hosts.Launch(launcher), "dotnet", ProgramFile, "mpi", scenario, "real", .. options]));
    }

    /// <summary>Starts the launcher; skips the test where it is not installed.</summary>
    /// <param name="launcher">File name of the launcher.</param>
    /// <param name="ranks">Ranks to start.</param>
    /// <param name="arguments">Arguments of the rank program.</param>
    public static Process Start(string launcher, int ranks, string[] arguments)
    {
        string[] permissions = launcher == MpiLaunchers.OpenMpi ? ["--allow-run-as-root", "--oversubscribe"] : [];
        return Start([Find(launcher), .. permissions, "-np", $"{ranks}", "dotnet", ProgramFile, .. arguments]);
    }

    private static Process Start(string[] command)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        return Process.Start(start)!;
    }

    private static async Task<MpiJob> EndOfAsync(Process started)
    {
        using var process = started;
        try
        {
            var stop = TestContext.Current.CancellationToken;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(stop), process.StandardError.ReadToEndAsync(stop));
            await process.WaitForExitAsync(stop);
            var ended = TimeProvider.System.GetUtcNow();
            return new MpiJob(process.ExitCode, Decoration.Replace(await output + await error, ""), ended);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    /// <summary>Where the launcher is; skips the test where it is not installed.</summary>
    private static string Find(string launcher)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, launcher)).FirstOrDefault(File.Exists);
        Assert.SkipWhen(path is null, $"{launcher} is not installed (Debian packages openmpi-bin, mpich).");
        return path!;
    }
}
