using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Modules;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>partition</c>: tracing, measuring and cutting a GPT into pipeline stages.</summary>
internal static class PartitionCommand
{
    public static Command Create()
    {
        var layers = PositiveOption.Create("--layers", 200, "Layers of the model.");
        var hidden = PositiveOption.Create("--hidden", 64, "Its width.");
        var stages = PositiveOption.Create("--stages", 64, "Stages to cut it into.");
        var delayed = new Option<bool>("--delayed") { Description = "Build it with delayed initialisation, and leave it in its file." };
        var command = new Command("partition", "Times the cut of a traced model into pipeline stages.") { layers, hidden, stages, delayed };
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration { Ranks = 1 },
            _ => [Run(arguments.GetValue(layers), arguments.GetValue(hidden), arguments.GetValue(stages), arguments.GetValue(delayed))]));
        return command;
    }

    private static PartitionResult Run(int layers, int hidden, int stages, bool delayed)
    {
        using var construction = delayed ? new DelayedConstruction(null) : null;
        using var model = construction is null ? Build() : construction.Build(Build);
        Tensor[] batch = [randint(512, [1, 16], ScalarType.Int64)];
        var watch = Stopwatch.StartNew();
        var chain = ModelChains.Trace(model, batch).Chain;
        var trace = watch.Elapsed;
        watch.Restart();
        var costs = PartCosts.Measure(chain, model, batch);
        var measure = watch.Elapsed;
        watch.Restart();
        var partition = PipelinePartitioner.Partition(costs, stages);
        return new PartitionResult(
            chain.Parts.Count, stages, costs.Sum(cost => cost.ParameterBytes) >> 20, trace.TotalSeconds, measure.TotalSeconds,
            watch.Elapsed.TotalSeconds, partition.Imbalance, ProcessMemory.PeakResidentSet);

        GptModel Build() => new(new GptShape(512, 16, hidden, 4, layers));
    }
}

/// <summary>What <c>partition</c> prints.</summary>
/// <param name="Parts">Parts of the chain.</param>
/// <param name="Stages">Stages.</param>
/// <param name="ParametersMib">Parameters of the model, in MiB.</param>
/// <param name="TraceS">Time to find the parts, in seconds.</param>
/// <param name="MeasureS">Time to measure them.</param>
/// <param name="PartitionS">Time to cut.</param>
/// <param name="Imbalance">How much the most expensive stage costs beyond an equal share.</param>
/// <param name="PeakMib">The process's peak of resident memory, in MiB.</param>
internal sealed record PartitionResult(
    int Parts, int Stages, long ParametersMib, double TraceS, double MeasureS, double PartitionS, double Imbalance, double PeakMib);
