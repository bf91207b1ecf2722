using ShardSharp.Tests.Launching;

namespace ShardSharp.Tests.Activations;

/// <summary>What becomes of activations on a disk when something goes wrong.</summary>
public sealed class ActivationOffloadingTests
{
    private const string Options = "--set activation_checkpointing=layers --set offload_activations=true";
    private const int Killed = 128 + 9;

    public ActivationOffloadingTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "It is for Linux.");

    [Fact]
    public async Task A_full_disk_is_an_error_before_anything_is_lost()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/prlimit"), "prlimit(1) is not installed.");
        var result = await SessionProcess.RunAsync($"offload 16 {Options}");
        Assert.Equal("", result.Error);
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        Assert.Contains("A tensor of 4 MiB found no room in folder", lines[1], StringComparison.Ordinal);
        Assert.Contains("activation_offloading_folder", lines[1], StringComparison.Ordinal);

        // What fits trains on as if nothing had happened.
        Assert.Equal(lines[0], lines[2]);
    }

    /// <summary>The run requires an empty temporary folder at its end; .NET would leave its sockets for debuggers there.</summary>
    [Fact]
    public async Task Nothing_is_left_of_a_process_that_is_killed()
    {
        var result = await SessionProcess.RunAsync($"offload die {Options}", new Dictionary<string, string> { ["DOTNET_EnableDiagnostics"] = "0" });
        Assert.Equal(Killed, result.ExitCode);
    }
}
