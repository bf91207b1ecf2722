namespace ShardSharp.DataParallel;

/// <summary>Which samples make up which batch of which epoch, and which rank takes which of them.</summary>
/// <param name="samples">Samples in the dataset.</param>
/// <param name="globalBatchSize">Samples of one step on all ranks together.</param>
/// <param name="shuffle">Whether every epoch has an order of its own.</param>
/// <param name="dropLast">Whether to leave out the samples that do not fill a batch.</param>
/// <param name="seed">With the epoch, what the order follows from.</param>
internal sealed class SampleOrder(long samples, int globalBatchSize, bool shuffle, bool dropLast, int seed)
{
    /// <summary>Steps of one epoch.</summary>
    public long Batches => dropLast ? samples / globalBatchSize : (samples + globalBatchSize - 1) / globalBatchSize;

    /// <summary>Samples that one rank takes of a full batch.</summary>
    public int ShareOf(int ranks)
    {
        Require(ranks);
        return globalBatchSize / ranks;
    }

    /// <summary>The samples of one rank in one epoch, in order; batch after batch the ranks take consecutive parts.</summary>
    /// <param name="rank">Which of the ranks.</param>
    /// <param name="ranks">How many ranks share a batch.</param>
    /// <param name="epoch">Which order.</param>
    /// <param name="first">The batch to begin with.</param>
    public IEnumerable<long> Of(int rank, int ranks, int epoch, long first = 0)
    {
        Require(ranks);
        var order = Permutation(epoch);
        for (var batch = first; batch < Batches; batch++)
        {
            var start = batch * globalBatchSize;
            var share = Math.Min(globalBatchSize, samples - start) / ranks;
            for (var i = 0L; i < share; i++)
                yield return order[start + (rank * share) + i];
        }
    }

    private void Require(int ranks)
    {
        if (globalBatchSize < 1 || globalBatchSize % ranks != 0)
        {
            throw new ArgumentException($"A global batch of {globalBatchSize} samples cannot be shared equally by {ranks} data-parallel ranks; use a "
                + $"multiple of {ranks}, such as {Math.Max(1, globalBatchSize / ranks) * ranks}.");
        }

        if (samples < ranks)
            throw new ArgumentException($"{samples} samples are too few for {ranks} data-parallel ranks; each needs at least one.");
        if (Batches == 0)
        {
            throw new ArgumentException(
                $"{samples} samples do not fill one global batch of {globalBatchSize}; use at most {samples / ranks * ranks}.");
        }

        var last = samples % globalBatchSize;
        if (!dropLast && last % ranks != 0)
        {
            var drop = samples > globalBatchSize ? "drop it (dropLast: true) or " : "";
            throw new ArgumentException($"The last batch has {last} samples, which {ranks} data-parallel ranks cannot share equally; {drop}leave "
                + $"{last % ranks} out of the dataset.");
        }
    }

    private long[] Permutation(int epoch)
    {
        var order = new long[samples];
        for (var i = 0L; i < samples; i++)
            order[i] = i;
        if (!shuffle)
            return order;
        var random = new SplitMix64(((ulong)(uint)seed << 32) | (uint)epoch);
        for (var i = samples - 1; i > 0; i--)
        {
            var j = (long)random.Below((ulong)i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }
}
