namespace ShardSharp.Pipeline.Partitioning;

/// <summary>
/// The cost of every possible stage, by prefix sums: <c>weight × memory + (1 - weight) × time</c>, each as its part of the whole model
/// (SMP's <c>memory_weight</c>; Karakus et al., "Amazon SageMaker Model Parallelism", arXiv:2111.05972).
/// </summary>
internal sealed class StageCosts
{
    private readonly double[] _time;
    private readonly long[] _bytes;
    private readonly double _memoryWeight;

    public StageCosts(IReadOnlyList<LayerCost> layers, double memoryWeight)
    {
        _memoryWeight = memoryWeight;
        (_time, _bytes) = (new double[layers.Count + 1], new long[layers.Count + 1]);
        for (var i = 0; i < layers.Count; i++)
        {
            _time[i + 1] = _time[i] + layers[i].Time;
            _bytes[i + 1] = checked(_bytes[i] + layers[i].Bytes);
        }
    }

    /// <summary>The layers from <paramref name="first"/> to before <paramref name="end"/> as a stage.</summary>
    public PipelineStage Stage(int first, int end)
    {
        var (time, bytes) = (_time[end] - _time[first], _bytes[end] - _bytes[first]);
        return new PipelineStage(first, end - first, (_memoryWeight * Part(bytes, _bytes[^1])) + ((1 - _memoryWeight) * Part(time, _time[^1])), time, bytes);
    }

    private static double Part(double value, double whole) => whole > 0 ? value / whole : 0;
}
