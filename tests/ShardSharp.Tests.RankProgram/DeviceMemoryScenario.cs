using System.Diagnostics;
using System.Globalization;
using ShardSharp;
using static TorchSharp.torch;

/// <summary>
/// A training on a GPU whose activations are large; what it prints tells what checkpointing and offloading, by configuration, do to its memory and time
/// and that they leave its gradients alone.
/// </summary>
internal static class DeviceMemoryScenario
{
    private const int Width = 2048;
    private const int Samples = 32768;
    private const int Blocks = 24;
    private const int Steps = 6;

    public static void Play(Session session)
    {
        using var model = session.DistributedModel(() => nn.Sequential([.. Enumerable.Range(0, Blocks).Select(Block)]));
        using var input = arange(Samples * (long)Width, ScalarType.Float32, session.Device).sin_().reshape(Samples, Width);
        var times = new List<double>();
        var checksum = "";
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            model.ZeroGradients();
            cuda.synchronize();
            var since = Stopwatch.GetTimestamp();
            model.Step([input], (module, batch) => module.call(batch[0]).pow(2).mean());
            cuda.synchronize();
            times.Add(Stopwatch.GetElapsedTime(since).TotalMilliseconds);
            checksum = string.Join(' ', model.Parameters.Take(3).Select(
                parameter => parameter.grad!.abs().sum(ScalarType.Float64).item<double>().ToString("R", CultureInfo.InvariantCulture)));
        }

        using var query = Process.Start(new ProcessStartInfo("nvidia-smi", "--query-gpu=memory.used --format=csv,noheader") { RedirectStandardOutput = true })!;
        var memory = query.StandardOutput.ReadToEnd().Trim();
        Console.WriteLine(
            $"checkpointing {session.Configuration.ActivationCheckpointing} offloading {session.Configuration.OffloadActivations}: {memory}, "
            + $"{times.Order().ElementAt(Steps / 2):F1} ms a step, gradients {checksum}");
    }

    private static nn.Module<Tensor, Tensor> Block(int _) => nn.Sequential(nn.LayerNorm(Width), nn.Linear(Width, Width), nn.GELU(), nn.Linear(Width, Width));
}
