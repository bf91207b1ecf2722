using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Losses;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>Cross-entropy of logits whose vocabulary is divided over ranks: they are never gathered.</summary>
public static class VocabularyParallelLoss
{
    /// <summary>Mean cross-entropy in nats, computed in float32.</summary>
    /// <remarks>
    /// Ranks exchange three numbers per position: the greatest logit, the sum of exponentials, and the label's logit; with label smoothing also
    /// the sum of logits.
    /// </remarks>
    /// <param name="logits">This rank's part of the logits [.., part]; the first <c>vocabulary % ranks</c> ranks have one more than the others.</param>
    /// <param name="labels">[..] of int64, the same on every rank.</param>
    /// <param name="group">The ranks; null where this rank has all logits.</param>
    /// <param name="vocabulary">Logits of all ranks together; null where all have as many as this one.</param>
    /// <param name="options">Which labels do not count, and what is added to the loss; the defaults if null.</param>
    /// <returns>The mean over the labels that count, the same on every rank; NaN if none does.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a label is none of the vocabulary, or an option is out of range.</exception>
    public static Tensor CrossEntropy(
        Tensor logits, Tensor labels, ProcessGroup? group, long? vocabulary = null, CrossEntropyOptions? options = null) =>
        CrossEntropy(logits, labels, group, vocabulary, options, isLastBackward: null);

    /// <inheritdoc cref="CrossEntropy(Tensor, Tensor, ProcessGroup, long?, CrossEntropyOptions)"/>
    internal static Tensor CrossEntropy(
        Tensor logits, Tensor labels, ProcessGroup? group, long? vocabulary, CrossEntropyOptions? options, Func<bool>? isLastBackward)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(labels);
        options ??= new CrossEntropyOptions();
        var whole = vocabulary ?? logits.shape[^1] * (group?.Size ?? 1);
        var own = new Division(whole, group?.Size ?? 1)[group?.Rank ?? 0];
        Require(logits, labels, own, whole, options);
        using var scope = NewDisposeScope();
        var rows = logits.reshape(-1, own.Length);
        return DividedCrossEntropy.Run(rows, labels.reshape(-1), new LossTerms(group, own, whole, options, isLastBackward)).MoveToOuterDisposeScope();
    }

    private static void Require(Tensor logits, Tensor labels, IndexRange own, long vocabulary, CrossEntropyOptions options)
    {
        if (logits.shape[^1] != own.Length || !logits.shape.SkipLast(1).SequenceEqual(labels.shape))
        {
            throw new ArgumentException(
                $"Logits [{string.Join(", ", logits.shape)}] do not fit labels [{string.Join(", ", labels.shape)}] and this rank's {own.Length} of "
                + $"{vocabulary} tokens.", nameof(logits));
        }

        if (options.LabelSmoothing is < 0 or > 1 or double.NaN)
            throw new ArgumentException($"Label smoothing is from 0 to 1, not {options.LabelSmoothing}.", nameof(options));
        if (options.ZLoss is < 0 or double.NaN)
            throw new ArgumentException($"The factor of z-loss is at least 0, not {options.ZLoss}.", nameof(options));
        if (labels.numel() == 0)
            return;
        using var scope = NewDisposeScope();
        using Scalar ignored = options.IgnoreIndex, valid = 0;
        var counted = labels.masked_fill(labels.eq(ignored), valid);
        var (least, most) = (counted.min().ToInt64(), counted.max().ToInt64());
        if (least < 0 || most >= vocabulary)
            throw new ArgumentException($"Label {(least < 0 ? least : most)} is none of the {vocabulary} tokens, nor the ignored one, {options.IgnoreIndex}.", nameof(labels));
    }
}
