using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>The schedules that a configuration asks for.</summary>
internal static class StepSchedules
{
    /// <summary>Which rank runs which stages.</summary>
    public static StagePlacement Placement(ParallelConfiguration configuration) => Training(configuration, configuration.Microbatches).Placement;

    /// <summary>The schedule of a training step; that of an evaluation if the configuration has forwards alone.</summary>
    /// <exception cref="ArgumentException">The schedule does not fit the pipeline or the number of microbatches.</exception>
    /// <exception cref="FormatException">The file is no schedule.</exception>
    public static PipelineSchedule Training(ParallelConfiguration configuration, int microbatches)
    {
        if (configuration.PipelineScheduleFile is { } file)
            return Read(file, configuration, microbatches);

        // These need as many microbatches in flight as they need; the default limit is for those that can do with fewer.
        var active = configuration.Pipeline is PipelineScheduleKind.InterleavedChunks or PipelineScheduleKind.ZeroBubbleV or PipelineScheduleKind.ForwardOnly
            ? configuration.ActiveMicrobatches
            : Math.Min(microbatches, configuration.ActiveMicrobatches ?? (configuration.PipelineParallelDegree + 2));
        return PipelineSchedules.Create(configuration.Pipeline, configuration.PipelineParallelDegree, microbatches, activeMicrobatches: active);
    }

    private static PipelineSchedule Read(string file, ParallelConfiguration configuration, int microbatches)
    {
        var schedule = ScheduleCsv.Parse(Path.GetFileName(file), File.ReadAllText(file));
        if (schedule.Placement.Ranks != configuration.PipelineParallelDegree || schedule.Microbatches != microbatches)
        {
            throw new ArgumentException(
                $"The schedule in {file} is for {schedule.Placement.Ranks} ranks and {schedule.Microbatches} microbatches; this step has "
                + $"{configuration.PipelineParallelDegree} (pipeline_parallel_degree) and {microbatches} (microbatches).", nameof(configuration));
        }

        return schedule;
    }

    /// <summary>The forwards of a schedule, for evaluation on the same stages.</summary>
    public static PipelineSchedule ForwardsOf(PipelineSchedule schedule) => new(
        $"{schedule.Name}, forwards", schedule.Placement, schedule.Microbatches,
        [.. schedule.Actions.Select(rank => rank.Where(action => action.Kind == PipelineActionKind.Forward).ToArray())]);
}
