namespace ShardSharp.DataParallel;

/// <summary>A gradient that came when its reduction had begun, so that a part of it would be lost.</summary>
internal static class LateGradient
{
    public static InvalidOperationException Of(string parameter) => new(
        $"Parameter '{parameter}' received gradient in several parts, from a backward inside the step's backward, after its reduction had begun. "
        + "Set overlapping_allreduce to false for this model.");
}
