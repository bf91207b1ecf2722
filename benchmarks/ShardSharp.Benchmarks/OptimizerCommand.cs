using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>optimizer</c>: the step of AdamW alone, over the parameters of the benchmark's GPT.</summary>
internal static class OptimizerCommand
{
    public static Command Create()
    {
        var own = new Option<bool>("--own") { Description = "TorchSharp's own step instead of the fused one." };
        var threads = PositiveOption.Create("--threads", 1, "Compute threads.");
        var steps = PositiveOption.Create("--steps", 10, "Steps to time.");
        var command = new Command("optimizer", "Times the step of AdamW for the default GPT, and its memory.") { own, threads, steps };
        command.SetAction(arguments =>
        {
            var configuration = new ParallelConfiguration { Ranks = 1, ThreadsPerRank = arguments.GetValue(threads) };
            return RankRun.Launch(
                configuration, session => [Run(session, fused: !arguments.GetValue(own), arguments.GetValue(steps))]);
        });
        return command;
    }

    private static OptimizerResult Run(Session session, bool fused, int steps)
    {
        using var model = session.DistributedModel(() => new GptModel(new GptShape(8192, 256, 512, 8, 8)));
        using var optimizer = session.DistributedOptimizer(
            model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate), fused);
        foreach (var parameter in model.Parameters)
            parameter.grad = full_like(parameter, 1e-3).detach();
        var before = ProcessMemory.PeakResidentSet;
        optimizer.step();
        var temporary = ProcessMemory.PeakResidentSet - before;

        var seconds = new List<double>();
        for (var i = 0; i < steps; i++)
        {
            var watch = Stopwatch.StartNew();
            optimizer.step();
            seconds.Add(watch.Elapsed.TotalSeconds);
        }

        return new OptimizerResult(
            fused ? "fused" : "own", get_num_threads(), model.Parameters.Sum(parameter => parameter.numel()), Median.Of(seconds), temporary);
    }
}

/// <summary>What <c>optimizer</c> prints.</summary>
/// <param name="Step">fused, or own: TorchSharp's.</param>
/// <param name="Threads">Compute threads.</param>
/// <param name="Parameters">Numbers that are updated.</param>
/// <param name="StepS">Median time of a step in seconds.</param>
/// <param name="PeakMib">By how much the first step raised the process's peak of resident memory, in MiB.</param>
internal sealed record OptimizerResult(string Step, int Threads, long Parameters, double StepS, double PeakMib);
