namespace ShardSharp.Topology;

/// <summary>What schedules are called in configurations and on the command line.</summary>
internal static class PipelineScheduleName
{
    public static (string Name, PipelineScheduleKind Kind)[] All { get; } =
    [
        ("interleaved", PipelineScheduleKind.Interleaved),
        ("interleaved_divided_drain", PipelineScheduleKind.InterleavedDividedDrain),
        ("simple", PipelineScheduleKind.Simple),
        ("interleaved_1f1b", PipelineScheduleKind.InterleavedChunks),
        ("zero_bubble_h1", PipelineScheduleKind.ZeroBubbleH1),
        ("zero_bubble_v", PipelineScheduleKind.ZeroBubbleV),
        ("forward_only", PipelineScheduleKind.ForwardOnly),
    ];

    public static string Of(PipelineScheduleKind kind) => All.First(named => named.Kind == kind).Name;
}
