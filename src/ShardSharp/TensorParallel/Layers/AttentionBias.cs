using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>What is added to the products of queries and keys.</summary>
/// <param name="options">Says whether attention is causal and has linear biases.</param>
/// <param name="firstHead">The first of this rank's heads, from 0.</param>
/// <param name="heads">How many it has.</param>
internal sealed class AttentionBias(DistributedTransformerOptions options, long firstHead, long heads)
{
    /// <summary>The sum of all biases, for self-attention; null where there are none.</summary>
    /// <param name="length">Length of the sequence.</param>
    /// <param name="mask">What the caller adds; null for nothing.</param>
    /// <param name="type">Type of the result.</param>
    /// <param name="device">Where to compute.</param>
    /// <returns>A tensor that can be expanded to [batch, heads, length, length].</returns>
    public Tensor? Of(long length, Tensor? mask, ScalarType type, Device device)
    {
        if (options.CausalMaskSize is { } longest && length > longest)
            throw new ArgumentException($"The sequence has {length} positions; {nameof(options.CausalMaskSize)} is {longest}.");
        Tensor?[] biases =
        [
            options.CausalMaskSize is null ? null : Causal(length, type, device),
            options.UseAlibi ? Alibi(length, type, device) : null,
            mask?.to_type(type),
        ];
        return biases.OfType<Tensor>().Aggregate((Tensor?)null, (sum, bias) => sum is null ? bias : sum + bias);
    }

    private static Tensor Causal(long length, ScalarType type, Device device)
    {
        // Not infinity: with a mask that hides all of a position's keys, the softmax would have no value.
        using Scalar hidden = finfo(type).min;
        return zeros(length, length, type, device).masked_fill(ones(length, length, ScalarType.Bool, device).triu(1), hidden);
    }

    private Tensor Alibi(long length, ScalarType type, Device device)
    {
        var slopes = Enumerable.Range(1, (int)heads).Select(head => (float)Math.Pow(2, -(firstHead + head) * options.AlibiBiasMax / options.NumAttentionHeads));
        using var factors = tensor(slopes.ToArray(), device: device).reshape(1, heads, 1, 1);
        using var distances = arange(1 - length, 1, ScalarType.Float32, device);
        return (factors * distances).to_type(type);
    }
}
