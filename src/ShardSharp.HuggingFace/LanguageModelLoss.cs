using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>The losses of language models as transformers computes them: mean cross-entropy in nats, in float32.</summary>
public static class LanguageModelLoss
{
    /// <summary>The label of positions that do not count.</summary>
    public const long Ignored = -100;

    /// <summary>The loss where the labels are the input itself: each position predicts the label of the next.</summary>
    /// <param name="logits">[batch, sequence, vocabulary]</param>
    /// <param name="labels">[batch, sequence] of int64; <see cref="Ignored"/> for positions that do not count.</param>
    /// <returns>The mean over all positions that count; NaN if none does.</returns>
    public static Tensor NextToken(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        var last = logits.shape[1] - 1;
        return Aligned(logits.narrow(1, 0, last), labels.narrow(1, 1, last)).MoveToOuterDisposeScope();
    }

    /// <summary>The loss where each position predicts its own label: of masked language models, and of labels that are already shifted.</summary>
    /// <inheritdoc cref="NextToken"/>
    public static Tensor Aligned(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return nn.functional.cross_entropy(
            logits.flatten(0, 1).to_type(ScalarType.Float32), labels.flatten(), ignore_index: Ignored).MoveToOuterDisposeScope();
    }
}
