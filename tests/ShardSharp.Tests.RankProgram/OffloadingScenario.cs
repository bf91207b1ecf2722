using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ShardSharp;
using static TorchSharp.torch;

/// <summary>Training whose activations wait in a file, on a disk that has no room, or in a process that is killed.</summary>
internal static class OffloadingScenario
{
    private const int Width = 256;
    private const int FileSizeExceeded = 25; // SIGXFSZ

    /// <param name="session">Its arguments: "session", "offload", and the most MiB that the file may have, or "die".</param>
    public static void Play(Session session)
    {
        using var model = session.DistributedModel(() => nn.Sequential([.. Enumerable.Range(0, 8).Select(_ => nn.Linear(Width, Width))]));
        if (session.Arguments[2] == "die")
        {
            Train(model, 512, Die);
            return;
        }

        // The kernel refuses to let the file grow, as a disk without room does. It also sends a signal, which disks do not.
        using var signal = PosixSignalRegistration.Create((PosixSignal)FileSizeExceeded, context => context.Cancel = true);
        var limit = long.Parse(session.Arguments[2], CultureInfo.InvariantCulture) << 20;
        using (var setting = Process.Start("prlimit", ["--pid", $"{Environment.ProcessId}", $"--fsize={limit}"]))
            setting.WaitForExit();

        Console.WriteLine(Train(model, 512));
        var error = "none";
        try
        {
            Train(model, 4096);
        }
        catch (IOException failure)
        {
            error = failure.Message;
        }

        Console.WriteLine(error);
        Console.WriteLine(Train(model, 512));
    }

    private static string Train(DistributedModel<TorchSharp.Modules.Sequential> model, long samples, Action? afterForward = null)
    {
        using var scope = NewDisposeScope();
        model.ZeroGradients();
        var input = arange(samples * Width, ScalarType.Float32).sin().reshape(samples, Width);
        model.Step([input], (module, batch) =>
        {
            var output = module.call(batch[0]);
            afterForward?.Invoke();
            return output.pow(2).mean();
        });
        return string.Join(' ', model.Parameters.Select(parameter => parameter.grad!.sum().item<float>().ToString("R", CultureInfo.InvariantCulture)));
    }

    /// <summary>Ends the process when the file has contents, so that nothing can tidy up.</summary>
    private static void Die()
    {
        if (!File.ReadLines("/proc/self/maps").Any(line => line.Contains("shardsharp-", StringComparison.Ordinal)))
            throw new InvalidOperationException("No file is mapped.");
        using var self = Process.GetCurrentProcess();
        self.Kill();
    }
}
