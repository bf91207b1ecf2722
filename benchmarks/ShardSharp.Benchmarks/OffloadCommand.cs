using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Launching;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>
/// <c>offload</c>: trains a checkpointed model whose layers' inputs alone need twice the memory that the process may use, with the inputs on a disk
/// and without. The limit is that of <c>limit</c>; pages of a file are not private memory.
/// </summary>
internal static class OffloadCommand
{
    private const string Limited = "offloaded";
    private const int Width = 256;
    private const int Samples = 32768;
    private const int InputMegabytes = Samples * Width * sizeof(float) >> 20;
    private const int Steps = 2;

    public static IEnumerable<Command> Create()
    {
        var limit = PositiveOption.Create("--limit-mib", 1024, "What the process may use, in MiB. The inputs of the layers need twice that.");
        var command = new Command("offload", "Trains a model whose activations need twice a memory limit, offloaded and not.") { limit };
        command.SetAction(async (arguments, cancellation) =>
        {
            var without = await RunAsync(arguments.GetValue(limit), offloads: false, cancellation);
            var with = await RunAsync(arguments.GetValue(limit), offloads: true, cancellation);
            Console.WriteLine(JsonLine.Of(without));
            Console.WriteLine(JsonLine.Of(with));
            return !without.Trained && with.Trained ? ExitCodes.Success : ExitCodes.WorkFailed;
        });

        var layers = PositiveOption.Create("--layers", 64, $"Layers, whose inputs have {InputMegabytes} MiB each.");
        var offloads = new Option<bool>("--offload") { Description = "Whether inputs wait on a disk." };
        var limited = new Command(Limited, "What 'offload' runs.") { layers, offloads };
        limited.Hidden = true;
        limited.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration { ActivationCheckpointing = "layers", OffloadActivations = arguments.GetValue(offloads) },
            session => [Train(session, arguments.GetValue(layers))]));
        return [command, limited];
    }

    private static async Task<OffloadResult> RunAsync(int limit, bool offloads, CancellationToken cancellation)
    {
        var layers = 2 * limit / InputMegabytes;
        string[] arguments = [Limited, "--layers", $"{layers}", .. offloads ? (string[])["--offload"] : []];
        var (exitCode, output, error) = await LimitedProcess.RunAsync(limit, "offload", arguments, cancellation);
        return new OffloadResult(
            limit, layers * InputMegabytes, offloads, exitCode == 0, exitCode == 0 ? JsonLine.Parse<OffloadedResult>(output) : null,
            exitCode == 0 ? null : error.Split('\n')[0]);
    }

    private static OffloadedResult Train(Session session, int layers)
    {
        using var model = session.DistributedModel(() => nn.Sequential(
            [.. Enumerable.Range(0, layers).Select(_ => nn.Sequential(nn.Linear(Width, Width), nn.GELU()))]));
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
        var (losses, seconds) = (new List<double>(), new List<double>());
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            var watch = Stopwatch.StartNew();
            optimizer.zero_grad();
            var loss = model.Step([randn(Samples, Width)], (module, batch) => module.call(batch[0]).pow(2).mean());
            optimizer.step();
            losses.Add(loss.ReduceMean());
            seconds.Add(watch.Elapsed.TotalSeconds);
        }

        return new OffloadedResult(seconds, losses);
    }

    /// <param name="LimitMib">What the process might use.</param>
    /// <param name="InputsMib">What the inputs of the layers take together.</param>
    /// <param name="Offloads">Whether they were on a disk.</param>
    /// <param name="Trained">Whether it worked.</param>
    /// <param name="Result">What came of it.</param>
    /// <param name="Error">The first line of what it said if it did not work.</param>
    private sealed record OffloadResult(int LimitMib, int InputsMib, bool Offloads, bool Trained, OffloadedResult? Result, string? Error);

    /// <param name="StepS">Seconds of each step.</param>
    /// <param name="Losses">The loss of each step.</param>
    private sealed record OffloadedResult(IReadOnlyList<double> StepS, IReadOnlyList<double> Losses);
}
