using ShardSharp.Communication;

namespace ShardSharp.Steps;

/// <summary>What part the loss of each microbatch has in a mean over something that microbatches have different numbers of, such as tokens.</summary>
internal sealed class MicrobatchWeights
{
    /// <param name="weights">The weight of each microbatch of this rank.</param>
    /// <param name="group">The ranks that see different samples; all of them make this.</param>
    /// <exception cref="ArgumentException">A weight is negative or no number, or all of all ranks are zero.</exception>
    public MicrobatchWeights(IReadOnlyList<double> weights, ProcessGroup group)
    {
        if (weights.FirstOrDefault(weight => !(weight >= 0 && double.IsFinite(weight)), 0) is var wrong && wrong != 0)
            throw new ArgumentException($"A microbatch's weight must be a finite number of at least 0; it was {wrong}.", nameof(weights));
        Span<double> sum = [weights.Sum()];
        group.AllReduce(sum);
        if (sum[0] == 0)
            throw new ArgumentException("All microbatches of all ranks have the weight 0, so their mean loss is not defined.", nameof(weights));
        var total = sum[0];
        Shares = [.. weights.Select(weight => weight * group.Size / total)];
    }

    /// <summary>What each microbatch's loss is multiplied by. The mean over the ranks of the sums of the products is the mean over everything.</summary>
    public IReadOnlyList<double> Shares { get; }
}
