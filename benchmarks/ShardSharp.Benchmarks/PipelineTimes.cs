using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Pipeline.Schedules;

namespace ShardSharp.Benchmarks;

/// <summary>What one rank of a pipeline measured in one step.</summary>
/// <param name="Bubble">The part of its time in which it waited for others, the optimizer's step left out.</param>
/// <param name="Activations">Bytes that activations took at the most, looked at after each action.</param>
/// <param name="Stages">What its stages took on average over the microbatches, in seconds, by stage.</param>
internal sealed record PipelineTimes(double Bubble, long Activations, IReadOnlyDictionary<int, StageCost> Stages)
{
    /// <summary>Of the latest step. A backward that it runs only whole counts as one of the inputs.</summary>
    public static PipelineTimes Of(PipelinedModel pipeline) => new(
        pipeline.Waited / (pipeline.Waited + pipeline.Worked), pipeline.Activations.Max(), CostsOf(pipeline.Timeline));

    private static Dictionary<int, StageCost> CostsOf(IReadOnlyList<TimedAction> timeline)
    {
        var times = timeline.ToLookup(timed => (timed.Action.Stage, timed.Action.Kind), timed => timed.End - timed.Start);
        return timeline.Select(timed => timed.Action.Stage).Distinct().ToDictionary(
            stage => stage,
            stage => Mean(stage, PipelineActionKind.InputBackward) is { } inputs
                ? new StageCost(Mean(stage, PipelineActionKind.Forward)!.Value, inputs, Mean(stage, PipelineActionKind.WeightBackward)!.Value)
                {
                    WholeBackward = Mean(stage, PipelineActionKind.Backward),
                }
                : new StageCost(Mean(stage, PipelineActionKind.Forward)!.Value, Mean(stage, PipelineActionKind.Backward)!.Value, 0));

        double? Mean(int stage, PipelineActionKind kind) =>
            times.Contains((stage, kind)) ? times[(stage, kind)].Average() : null;
    }

    /// <summary>Beside the bubbles that were measured, those of the schedule with equal stages, and with stages that take what these took.</summary>
    /// <param name="schedule">The schedule.</param>
    /// <param name="ranks">For each rank what it measured in each step.</param>
    /// <param name="partition">What the parts keep of a microbatch, as it was measured before they were cut.</param>
    public static PipelineResult Result(
        PipelineSchedule schedule, IReadOnlyList<IReadOnlyList<PipelineTimes>> ranks, PipelinePartition partition)
    {
        var kept = ScheduleSimulation.Run(
            schedule, [.. partition.Stages.Select(stage => new StageCost(
                Activations: partition.Layers.Skip(stage.First).Take(stage.Count).Sum(layer => layer.ActivationBytes)))]);
        var steps = Enumerable.Range(0, ranks[0].Count)
            .Select(step => Costs(ranks.SelectMany(rank => rank[step].Stages).OrderBy(stage => stage.Key).Select(stage => stage.Value))).ToArray();
        var simulations = steps.Select(costs => ScheduleSimulation.Run(schedule, costs)).ToArray();
        return new PipelineResult(
            [.. ranks.Select(rank => Round(Median.Of(rank.Select(times => times.Bubble))))],
            [.. Enumerable.Range(0, ranks.Count).Select(rank => Round(Median.Of(simulations.Select(simulation => BubbleOf(simulation, rank)))))],
            Round((ranks.Count - 1.0) / (schedule.Microbatches + ranks.Count - 1)),
            Round(Median.Of(simulations.Select(simulation => simulation.Makespan))),
            [.. Enumerable.Range(0, schedule.Placement.Stages).Select(stage => new[]
            {
                Round(Median.Of(steps.Select(costs => costs[stage].Forward))),
                Round(Median.Of(steps.Select(costs => costs[stage].InputBackward))),
                Round(Median.Of(steps.Select(costs => costs[stage].WeightBackward))),
                Round(Median.Of(steps.Select(costs => costs[stage].TimeOf(PipelineActionKind.Backward)))),
            })],
            [.. ranks.Select(rank => Mebibytes(rank.Max(times => times.Activations)))],
            [.. kept.PeakActivations.Select(Mebibytes)]);

        static StageCost[] Costs(IEnumerable<StageCost> stages) => [.. stages];
    }

    private static double BubbleOf(ScheduleSimulation simulation, int rank) =>
        1 - (simulation.Ranks[rank].Sum(timed => timed.End - timed.Start) / simulation.Makespan);

    private static double Mebibytes(double bytes) => Math.Round(bytes / 1048576, 1);

    private static double Round(double value) => Math.Round(value, 4);
}

/// <summary>What <c>train --mode pp</c> prints about its pipeline; medians over the steps.</summary>
/// <param name="Bubble">For each rank the part of a step's time in which it waited for others, the optimizer's step left out.</param>
/// <param name="SimulatedBubble">The same as the schedule predicts it from what the stages took in the same steps.</param>
/// <param name="EqualStagesBubble">What theory says for equal stages: (p - 1) / (m + p - 1).</param>
/// <param name="SimulatedS">The time from the first action to the last, as the schedule predicts it, in seconds.</param>
/// <param name="StageS">For each stage the time of a forward, of its backward of the inputs, that of the weights and the whole one.</param>
/// <param name="ActivationsMib">For each rank what activations took at the most, in MiB, looked at after each action.</param>
/// <param name="PredictedActivationsMib">
/// What the schedule predicts from what the parts kept of a microbatch when they were measured. The gradients that a divided backward keeps for
/// its second part are not in it.
/// </param>
internal sealed record PipelineResult(
    IReadOnlyList<double> Bubble, IReadOnlyList<double> SimulatedBubble, double EqualStagesBubble, double SimulatedS,
    IReadOnlyList<IReadOnlyList<double>> StageS, IReadOnlyList<double> ActivationsMib, IReadOnlyList<double> PredictedActivationsMib);
