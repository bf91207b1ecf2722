using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Tests.Launching;

/// <summary>The rank program as its users start it: a process of its own, seen from outside.</summary>
internal sealed class SessionProcess : IDisposable
{
    private const string RunVariable = "LAUNCH_TEST_RUN";

    private readonly DirectoryInfo _temporary = Directory.CreateTempSubdirectory("shardsharp-test-");
    private readonly string _run = Guid.NewGuid().ToString("N");
    private readonly Process _process;

    /// <param name="arguments">A scenario and options of ShardSharp.</param>
    /// <param name="environment">Variables on top of the test's own, none of which may make the program a rank.</param>
    /// <param name="folder">Where the program lies; null for the tests' own output folder.</param>
    public SessionProcess(string arguments, IReadOnlyDictionary<string, string>? environment = null, string? folder = null)
    {
        var program = Path.Combine(folder ?? AppContext.BaseDirectory, "ShardSharp.Tests.RankProgram.dll");
        var start = new ProcessStartInfo("dotnet", ["exec", program, "session", .. arguments.Split(' ')])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (variable, value) in environment ?? new Dictionary<string, string>())
            start.Environment[variable] = value;
        start.Environment["TMPDIR"] = _temporary.FullName;
        start.Environment[RunVariable] = _run;
        _process = Process.Start(start)!;
        Result = ResultAsync();
    }

    public int Id => _process.Id;

    public Task<SessionResult> Result { get; }

    /// <summary>Everything that the program started and that still runs, itself included.</summary>
    public IReadOnlyList<int> Processes => HostPlatform.Current.ProcessesWithEnvironment(RunVariable, _run);

    public static async Task<SessionResult> RunAsync(
        string arguments, IReadOnlyDictionary<string, string>? environment = null, string? folder = null)
    {
        using var process = new SessionProcess(arguments, environment, folder);
        var result = await process.Result;
        process.RequireNothingLeft();
        return result;
    }

    /// <summary>No process, no file in the temporary folder, no shared memory with a name.</summary>
    public void RequireNothingLeft()
    {
        Assert.Empty(Processes);
        Assert.Empty(_temporary.EnumerateFileSystemInfos().Select(file => file.Name));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries("/dev/shm"), path => path.Contains("shardsharp", StringComparison.Ordinal));
    }

    public async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{Id}"]);
        await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, kill.ExitCode);
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
        _temporary.Delete(recursive: true);
    }

    private async Task<SessionResult> ResultAsync()
    {
        var output = _process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = _process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new SessionResult(_process.ExitCode, await output, await error);
    }
}

/// <summary>How a program ended, and what it wrote.</summary>
internal sealed record SessionResult(int ExitCode, string Output, string Error)
{
    public string[] ErrorLines => [.. Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !IsReport(line))];

    /// <summary>The lines of the report of where the ranks were when communication broke.</summary>
    public string[] ReportLines => [.. Error.Split('\n').Where(IsReport)];

    /// <summary>The error lines of one rank, without the rank.</summary>
    public string[] ErrorLinesOf(int rank) =>
        [.. ErrorLines.Where(line => line.StartsWith($"[rank {rank}] ", StringComparison.Ordinal)).Select(line => line[$"[rank {rank}] ".Length..])];

    /// <summary>The lines of the launcher itself.</summary>
    public string[] LauncherLines =>
        [.. ErrorLines.Where(line => line.StartsWith("shardsharp: ", StringComparison.Ordinal)).Select(line => line["shardsharp: ".Length..])];

    private static bool IsReport(string line) =>
        line.StartsWith("| ", StringComparison.Ordinal) || line.Contains("] | ", StringComparison.Ordinal);
}
