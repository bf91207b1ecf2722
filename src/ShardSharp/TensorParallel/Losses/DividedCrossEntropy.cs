using ShardSharp.Communication;
using ShardSharp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Losses;

/// <summary>
/// Mean cross-entropy of logits whose columns are divided over ranks. It keeps the logits, and computes their softmax only in backward: where
/// forward ends, which is when activations peak, nothing else of their size is there.
/// </summary>
internal sealed class DividedCrossEntropy : autograd.SingleTensorFunction<DividedCrossEntropy>
{
    /// <summary>Elements that are computed with at a time.</summary>
    private const long ChunkElements = 1 << 18;

    private const string Terms = "terms";

    public override string Name => nameof(DividedCrossEntropy);

    /// <param name="logits">[rows, own tokens]</param>
    /// <param name="labels">[rows]</param>
    /// <param name="terms">How the vocabulary is divided, and options.</param>
    public static Tensor Run(Tensor logits, Tensor labels, LossTerms terms)
    {
        if (logits.requires_grad && is_grad_enabled())
            return apply(logits, labels, terms);
        var (loss, logarithm) = Compute(logits, labels, terms);
        logarithm.Dispose();
        return loss;
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (logits, labels, terms) = ((Tensor)vars[0], (Tensor)vars[1], (LossTerms)vars[2]);
        var (loss, logarithm) = Compute(logits, labels, terms);

        // Without their place in the graph, through which they would be kept as long as that.
        ctx.save_for_backward([logits.detach(), labels, logarithm]);
        ctx.save_data(Terms, terms);
        return loss;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        var terms = (LossTerms)ctx.get_data(Terms);
        var gradient = Gradient(saved[0], saved[1], saved[2], grad_output, terms);

        // TorchSharp's functions keep what they have saved as long as the loss is there.
        if (terms.IsLastBackward?.Invoke() is true)
            TensorData.Set(saved[0], zeros(0, saved[0].dtype, saved[0].device));
        return [gradient.MoveToOuterDisposeScope(), null!, null!];
    }

    /// <summary>The loss, and for each row the logarithm of the sum of the exponentials of all its logits.</summary>
    private static (Tensor Loss, Tensor Logarithm) Compute(Tensor logits, Tensor labels, LossTerms terms)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        var (smoothing, z) = (terms.Options.LabelSmoothing, terms.Options.ZLoss);
        using Scalar nothing = 0, kept = 1 - smoothing, share = smoothing / terms.Vocabulary, factor = z;
        var counts = Counts(labels, terms);
        var (isOwn, columns) = Columns(labels, counts, terms);

        var greatest = logits.detach().amax([1]).to_type(ScalarType.Float32);
        terms.Group?.AllReduce(greatest, ReduceOperation.Max);
        var sums = zeros(smoothing > 0 ? 3 : 2, labels.shape[0], ScalarType.Float32, logits.device);
        foreach (var (start, length) in Chunks(logits))
        {
            using var chunk = NewDisposeScope();
            var values = logits.detach().narrow(0, start, length).to_type(ScalarType.Float32);
            var own = sums.narrow(1, start, length);
            own[0].copy_(values.sub(greatest.narrow(0, start, length).unsqueeze(1)).exp_().sum(1));
            own[1].copy_(values.gather(1, columns.narrow(0, start, length)).squeeze(1));
            if (smoothing > 0)
                own[2].copy_(values.sum(1));
        }

        sums[1].masked_fill_(isOwn.logical_not(), nothing);
        terms.Group?.AllReduce(sums);

        var logarithm = sums[0].log() + greatest;
        var losses = logarithm - (sums[1] * kept);
        if (smoothing > 0)
            losses = losses - (sums[2] * share);
        if (z > 0)
            losses = losses + (logarithm.square() * factor);
        var loss = losses.masked_fill(counts.logical_not(), nothing).sum() / counts.sum().to_type(ScalarType.Float32);
        return (loss.MoveToOuterDisposeScope(), logarithm.MoveToOuterDisposeScope());
    }

    private static Tensor Gradient(Tensor logits, Tensor labels, Tensor logarithm, Tensor outer, LossTerms terms)
    {
        var (smoothing, z) = (terms.Options.LabelSmoothing, terms.Options.ZLoss);
        using Scalar share = smoothing / terms.Vocabulary, twice = 2 * z, one = 1, given = smoothing - 1;
        var counts = Counts(labels, terms);
        var (isOwn, columns) = Columns(labels, counts, terms);
        var weight = counts.to_type(ScalarType.Float32) / counts.sum().to_type(ScalarType.Float32) * outer;
        var scale = z > 0 ? weight * ((logarithm * twice) + one) : weight;
        var atLabel = (weight * isOwn.to_type(ScalarType.Float32) * given).unsqueeze(1);
        var spread = (weight * share).unsqueeze(1);
        var gradient = empty_like(logits);
        foreach (var (start, length) in Chunks(logits))
        {
            using var chunk = NewDisposeScope();
            var values = logits.detach().narrow(0, start, length);
            var result = gradient.narrow(0, start, length);

            // Where float32 is computed in anyway, in the result itself.
            var part = logits.dtype == ScalarType.Float32 ? result.copy_(values) : values.to_type(ScalarType.Float32);
            part.sub_(logarithm.narrow(0, start, length).unsqueeze(1)).exp_().mul_(scale.narrow(0, start, length).unsqueeze(1));
            if (smoothing > 0)
                part.sub_(spread.narrow(0, start, length));
            part.scatter_add_(1, columns.narrow(0, start, length), atLabel.narrow(0, start, length));
            if (logits.dtype != ScalarType.Float32)
                result.copy_(part);
        }

        return gradient;
    }

    /// <summary>Which rows count.</summary>
    private static Tensor Counts(Tensor labels, LossTerms terms)
    {
        using Scalar ignored = terms.Options.IgnoreIndex;
        return labels.ne(ignored);
    }

    /// <summary>Which rows have a label of this rank's tokens, and its column; column 0 for others.</summary>
    private static (Tensor IsOwn, Tensor Columns) Columns(Tensor labels, Tensor counts, LossTerms terms)
    {
        using Scalar start = terms.Own.Start, end = terms.Own.End, nothing = 0;
        var isOwn = counts.logical_and(labels.ge(start)).logical_and(labels.lt(end));
        return (isOwn, labels.sub(start).masked_fill(isOwn.logical_not(), nothing).unsqueeze(1));
    }

    private static IEnumerable<(long Start, long Length)> Chunks(Tensor logits)
    {
        var (rows, length) = (logits.shape[0], Math.Max(1, ChunkElements / Math.Max(1, logits.shape[1])));
        for (var start = 0L; start < rows; start += length)
            yield return (start, Math.Min(length, rows - start));
    }
}
