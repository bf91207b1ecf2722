namespace ShardSharp.Topology;

/// <summary>Which degrees fit a number of ranks, and messages that name those that would.</summary>
internal static class RankLayoutRules
{
    public static void Check(int worldSize, int pipelineDegree, int tensorDegree)
    {
        if (worldSize < 1)
            throw new ArgumentException($"The number of ranks is {worldSize}; it must be 1 or more.", nameof(worldSize));
        if (pipelineDegree < 1)
            throw new ArgumentException($"The pipeline-parallel degree is {pipelineDegree}; it must be 1 or more.", nameof(pipelineDegree));
        if (tensorDegree < 1)
            throw new ArgumentException($"The tensor-parallel degree is {tensorDegree}; it must be 1 or more.", nameof(tensorDegree));

        var product = (long)pipelineDegree * tensorDegree;
        if (worldSize % product == 0)
            return;

        var message =
            $"Pipeline-parallel degree {pipelineDegree} × tensor-parallel degree {tensorDegree} = {product} does not divide the "
            + $"{worldSize} ranks. Start a multiple of {product} ranks";
        if (worldSize % tensorDegree == 0)
            message += $", or keep the tensor-parallel degree and use pipeline-parallel degree {Divisors(worldSize / tensorDegree)}";
        if (worldSize % pipelineDegree == 0)
            message += $", or keep the pipeline-parallel degree and use tensor-parallel degree {Divisors(worldSize / pipelineDegree)}";
        if (worldSize % tensorDegree != 0 && worldSize % pipelineDegree != 0)
            message += $", or use degrees whose product is {Divisors(worldSize)}";
        throw new ArgumentException(message + ".");
    }

    public static void CheckShardedDataDegree(int degree, int reducedDataSize)
    {
        if (degree < 1 || reducedDataSize % degree != 0)
        {
            throw new ArgumentException(
                $"The sharded data-parallel degree {degree} does not divide the {reducedDataSize} ranks that hold the same parameters. "
                + $"Use {Divisors(reducedDataSize)}.",
                nameof(degree));
        }
    }

    private static string Divisors(int number)
    {
        int[] divisors = [.. Enumerable.Range(1, number).Where(divisor => number % divisor == 0)];
        return divisors.Length == 1 ? "1" : $"{string.Join(", ", divisors[..^1])} or {divisors[^1]}";
    }
}
