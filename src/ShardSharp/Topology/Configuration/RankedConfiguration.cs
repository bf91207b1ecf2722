namespace ShardSharp.Topology;

/// <summary>A configuration and the ranks it is for.</summary>
/// <param name="Values">The configuration.</param>
/// <param name="WorldSize">How many ranks another launcher started; null when the configuration says how many to start.</param>
internal readonly record struct RankedConfiguration(ParallelConfiguration Values, int? WorldSize)
{
    public int Pipeline => Values.PipelineParallelDegree;

    public int Tensor => Values.TensorParallelDegree;

    public int Sharded => Values.ShardedDataParallelDegree;

    public int Context => Values.ContextParallelDegree;

    public int Expert => Values.ExpertParallelDegree;

    public int Ranks => WorldSize ?? Values.Ranks;

    /// <summary>The ranks that hold one pipeline stage.</summary>
    public int DataRanks => Ranks / Pipeline;

    /// <summary>The ranks that hold the same part of the model, sharding apart.</summary>
    public int Replicas => DataRanks / Tensor;

    /// <summary>The smallest number of ranks the degrees can have; any multiple will do.</summary>
    public long RanksUnit => (long)Pipeline * Tensor * LeastCommonMultiple(Sharded, LeastCommonMultiple(Context, Expert));

    /// <summary>Whether a number of ranks can be started on this machine that suits the degrees.</summary>
    public bool CanChooseRanks =>
        WorldSize is null
        && Math.Max(Math.Max(Pipeline, Tensor), Math.Max(Sharded, Math.Max(Context, Expert))) <= ConfigurationKeys.MaximumRanks
        && RanksUnit <= ConfigurationKeys.MaximumRanks;

    /// <summary>The number of ranks nearest above that suits the degrees, or below where that is too many.</summary>
    public int NearestRanks
    {
        get
        {
            var unit = (int)RanksUnit;
            var above = (Ranks + unit - 1) / unit * unit;
            return above <= ConfigurationKeys.MaximumRanks ? above : above - unit;
        }
    }

    public string RanksUnitInWords
    {
        get
        {
            (string Name, int Degree)[] degrees =
            [
                ("pipeline_parallel_degree", Pipeline),
                ("tensor_parallel_degree", Tensor),
                ("sharded_data_parallel_degree", Sharded),
                ("context_parallel_degree", Context),
                ("expert_parallel_degree", Expert),
            ];
            return string.Join(", ", degrees.Where(pair => pair.Degree > 1).Select(pair => $"{pair.Name} = {pair.Degree}"));
        }
    }

    private static long LeastCommonMultiple(long a, long b)
    {
        (var divisor, var rest) = (a, b);
        while (rest != 0)
            (divisor, rest) = (rest, divisor % rest);
        return a / divisor * b;
    }
}
