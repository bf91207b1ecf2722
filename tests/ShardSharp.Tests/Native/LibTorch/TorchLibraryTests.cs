using System.Diagnostics;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Native;

public sealed class TorchLibraryTests
{
    [Fact]
    public async Task Many_threads_may_load_at_once()
    {
        const int Count = 16;
        using var start = new Barrier(Count);
        Task<float>[] uses = [.. Enumerable.Range(0, Count).Select(i => Task.Factory.StartNew(
            () =>
            {
                start.SignalAndWait();
                TorchLibrary.Load();
                using var sum = full(4, (float)i).sum();
                return sum.item<float>();
            },
            TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default))];

        Assert.Equal(Enumerable.Range(0, Count).Select(i => 4f * i), await Task.WhenAll(uses));
    }

    [Fact]
    public void Each_library_is_loaded_once()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads /proc.");
        TorchLibrary.Load();
        using var used = ones(1);

        foreach (var library in (string[])["libtorch_cpu.so", "libc10.so", "libtorch.so"])
        {
            string[] paths = [.. File.ReadLines("/proc/self/maps")
                .Where(line => line.EndsWith('/' + library))
                .Select(line => line[line.IndexOf('/', StringComparison.Ordinal)..])
                .Distinct()];
            Assert.Single(paths);
        }
    }

    [Fact]
    public async Task A_fresh_process_may_touch_torch_first()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(TorchLibraryTests).Assembly.Location);
        foreach (var argument in (string[])["--filter-class", typeof(TorchFirstTests).FullName!])
            start.ArgumentList.Add(argument);

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.True(process.ExitCode == 0, $"exit code {process.ExitCode}: {await output} {await errors}");
    }
}
