using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Schedules;

/// <summary>The schedules that are built in.</summary>
/// <remarks>On every stage, all of them run the backwards of the microbatches in the order of the microbatches, so that sums of gradients have
/// the same bits under any of them.</remarks>
public static class PipelineSchedules
{
    /// <summary>Builds a schedule.</summary>
    /// <param name="kind">Which.</param>
    /// <param name="ranks">Ranks of the pipeline.</param>
    /// <param name="microbatches">Microbatches of a step.</param>
    /// <param name="chunks">Stages of each rank, for <see cref="PipelineScheduleKind.InterleavedChunks"/>; null for 2.</param>
    /// <param name="activeMicrobatches">The most microbatches whose activations a rank keeps at once; null for no limit but the
    /// schedule's own.</param>
    /// <exception cref="ArgumentException">A number is below 1, or the schedule cannot keep within the limit.</exception>
    public static PipelineSchedule Create(
        PipelineScheduleKind kind, int ranks, int microbatches, int? chunks = null, int? activeMicrobatches = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ranks);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(microbatches);
        var active = activeMicrobatches ?? int.MaxValue;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(active, nameof(activeMicrobatches));
        if (chunks is not null && kind != PipelineScheduleKind.InterleavedChunks)
            throw new ArgumentException($"Only the interleaved_1f1b schedule takes a number of chunks; {kind} has its own.", nameof(chunks));
        var schedule = kind switch
        {
            PipelineScheduleKind.Simple => SimpleSchedule.Create(ranks, microbatches, active),
            PipelineScheduleKind.Interleaved => OneForwardOneBackwardSchedule.Create(ranks, microbatches, active, dividesDrain: false),
            PipelineScheduleKind.InterleavedDividedDrain => OneForwardOneBackwardSchedule.Create(ranks, microbatches, active, dividesDrain: true),
            PipelineScheduleKind.InterleavedChunks => InterleavedChunksSchedule.Create(ranks, microbatches, chunks ?? 2),
            PipelineScheduleKind.ZeroBubbleH1 => ZeroBubbleH1Schedule.Create(ranks, microbatches, active),
            PipelineScheduleKind.ZeroBubbleV => ZeroBubbleVSchedule.Create(ranks, microbatches),
            PipelineScheduleKind.ForwardOnly => ForwardOnlySchedule.Create(ranks, microbatches),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such schedule."),
        };
        var needed = (int)Math.Ceiling(
            ScheduleSimulation.Run(schedule).PeakActivations.Max() / (schedule.Placement.Stages / (double)schedule.Placement.Ranks));
        return needed <= active ? schedule : throw new ArgumentException(
            $"The schedule {schedule.Name} of {ranks} ranks keeps the activations of up to {needed} microbatches, more than the {active} allowed "
            + "(active_microbatches). Allow as many, or use 'interleaved', which can do with fewer.", nameof(activeMicrobatches));
    }
}
