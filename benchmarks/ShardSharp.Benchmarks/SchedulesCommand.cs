using System.CommandLine;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>
/// <c>schedules</c>: measures the stages of a GPT one after another on one rank, and simulates with these times how long a step takes on a rank
/// for each stage, under every schedule. For more ranks than the machine has cores.
/// </summary>
internal static class SchedulesCommand
{
    /// <summary>Microbatches that are measured for each kind of backward, after one that shows how backwards are divided.</summary>
    private const int Measured = 3;

    private static readonly PipelineScheduleKind[] Kinds =
    [
        PipelineScheduleKind.Interleaved, PipelineScheduleKind.InterleavedDividedDrain, PipelineScheduleKind.InterleavedChunks, PipelineScheduleKind.ZeroBubbleH1, PipelineScheduleKind.ZeroBubbleV,
    ];

    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 4, "Ranks of the simulated pipeline.");
        var layers = PositiveOption.Create("--layers", 15, "Transformer blocks; with the head, 15 make equal stages on 4 ranks.");
        var microbatches = new Option<int[]>("--microbatches")
        {
            Description = "Microbatches of a step.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [4, 8, 16],
        };
        var command = new Command("schedules", "Simulates pipeline schedules with measured times of the stages.") { ranks, layers, microbatches };
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration { Ranks = 1, ThreadsPerRank = 1, MemoryWeight = 0 },
            session => Run(session, arguments.GetValue(ranks), arguments.GetValue(layers), arguments.GetRequiredValue(microbatches))));
        return command;
    }

    private static IEnumerable<object> Run(Session session, int ranks, int layers, int[] microbatches)
    {
        var costs = new[] { ranks, 2 * ranks }.ToDictionary(stages => stages, stages => Measure(session, layers, stages));
        foreach (var (stages, measured) in costs)
        {
            yield return new StagesResult(
                stages, [.. measured.Select(cost => new[] { Round(cost.Forward), Round(cost.InputBackward), Round(cost.WeightBackward), Round(cost.WholeBackward!.Value) })]);
        }

        foreach (var count in microbatches)
        {
            foreach (var kind in Kinds)
            {
                var schedule = PipelineSchedules.Create(kind, ranks, count);
                var simulation = ScheduleSimulation.Run(schedule, costs[schedule.Placement.Stages]);
                yield return new ScheduleResult(
                    schedule.Name, ranks, count, Round(simulation.Makespan), Round(simulation.Bubble), Round(ScheduleSimulation.Run(schedule).Bubble));
            }
        }
    }

    /// <summary>Runs every stage forward, and backward in two parts and in one.</summary>
    private static StageCost[] Measure(Session session, int layers, int stages)
    {
        using var scope = NewDisposeScope();
        var shape = new GptShape(8192, 256, 512, 8, layers);
        using var root = new GptModel(shape);
        var step = new Step(randint(shape.Vocabulary, [1, shape.Sequence], ScalarType.Int64));
        var cut = session.CutModel(root, step.Inputs(0), stages: stages);
        var placement = StagePlacement.Of(new int[stages]);
        using var executor = new PipelineExecutor(new CutModel(root, cut, placement, rank: 0), session.Groups.Pipeline, CPU);
        const int Microbatches = 1 + (2 * Measured);
        var actions = Enumerable.Range(0, Microbatches).SelectMany(microbatch => OneByOne(microbatch, stages)).ToArray();
        executor.Run(new PipelineSchedule("one by one", placement, Microbatches, [actions]), step);
        var timeline = executor.Timeline.Where(timed => timed.Action.Microbatch > 0).ToLookup(timed => (timed.Action.Stage, timed.Action.Kind));
        return
        [
            .. Enumerable.Range(0, stages).Select(stage => new StageCost(
                Time(stage, PipelineActionKind.Forward), Time(stage, PipelineActionKind.InputBackward), Time(stage, PipelineActionKind.WeightBackward))
            {
                WholeBackward = Time(stage, PipelineActionKind.Backward),
            }),
        ];

        double Time(int stage, PipelineActionKind kind) => Median.Of(timeline[(stage, kind)].Select(timed => timed.End - timed.Start));
    }

    private static IEnumerable<PipelineAction> OneByOne(int microbatch, int stages)
    {
        for (var stage = 0; stage < stages; stage++)
            yield return new PipelineAction(stage, PipelineActionKind.Forward, microbatch);
        for (var stage = stages - 1; stage >= 0; stage--)
        {
            if (microbatch % 2 == 1)
            {
                yield return new PipelineAction(stage, PipelineActionKind.Backward, microbatch);
                continue;
            }

            yield return new PipelineAction(stage, PipelineActionKind.InputBackward, microbatch);
            yield return new PipelineAction(stage, PipelineActionKind.WeightBackward, microbatch);
        }
    }

    private static double Round(double value) => Math.Round(value, 4);

    private sealed class Step(Tensor tokens) : IPipelineStep
    {
        public IReadOnlyList<Tensor> Inputs(int microbatch) => [tokens];

        public Tensor End(int microbatch, IReadOnlyList<Tensor> outputs) => TrainBenchmark.Loss(outputs[0], tokens);

        public void BeforeGradients(bool isLast)
        {
        }

        public void AfterGradients(bool isLast)
        {
        }
    }

    /// <summary>What the stages took, in seconds: forward, backward of the inputs, backward of the weights, whole backward.</summary>
    private sealed record StagesResult(int Stages, IReadOnlyList<IReadOnlyList<double>> StageS);

    /// <summary>What a schedule makes of it: the time of a step, the part of it in which ranks wait, and that with actions that all take the same.</summary>
    private sealed record ScheduleResult(string Schedule, int Ranks, int Microbatches, double StepS, double Bubble, double EqualActionsBubble);
}
