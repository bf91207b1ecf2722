using TorchSharp;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Losses;

/// <summary>
/// Mean cross-entropy of logits whose columns are divided over ranks. Forward computes the gradient as well, in the memory of the
/// exponentials: backward only multiplies it.
/// </summary>
internal sealed class DividedCrossEntropy : autograd.SingleTensorFunction<DividedCrossEntropy>
{
    private const string Type = "type";

    public override string Name => nameof(DividedCrossEntropy);

    /// <param name="logits">[rows, own tokens]</param>
    /// <param name="labels">[rows]</param>
    /// <param name="terms">How the vocabulary is divided, and options.</param>
    public static Tensor Run(Tensor logits, Tensor labels, LossTerms terms)
    {
        if (logits.requires_grad && is_grad_enabled())
            return apply(logits, labels, terms);
        var (loss, gradient) = Compute(logits, labels, terms);
        gradient.Dispose();
        return loss;
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (loss, gradient) = Compute((Tensor)vars[0], (Tensor)vars[1], (LossTerms)vars[2]);
        ctx.save_for_backward([gradient]);
        ctx.save_data(Type, ((Tensor)vars[0]).dtype);
        return loss;
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using var scope = NewDisposeScope();
        var gradient = ctx.get_saved_variables()[0] * grad_output;
        return [gradient.to_type((ScalarType)ctx.get_data(Type)).MoveToOuterDisposeScope(), null!, null!];
    }

    private static (Tensor Loss, Tensor Gradient) Compute(Tensor logits, Tensor labels, LossTerms terms)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        var (smoothing, z) = (terms.Options.LabelSmoothing, terms.Options.ZLoss);
        using Scalar start = terms.Own.Start, end = terms.Own.End, ignored = terms.Options.IgnoreIndex, nothing = 0, kept = 1 - smoothing, given = smoothing - 1;
        using Scalar share = smoothing / terms.Vocabulary, factor = z, twice = 2 * z, one = 1;
        var values = logits.detach().to_type(ScalarType.Float32);
        var counts = labels.ne(ignored);
        var rows = counts.sum().to_type(ScalarType.Float32);
        var isOwn = counts.logical_and(labels.ge(start)).logical_and(labels.lt(end));
        var columns = labels.sub(start).masked_fill(isOwn.logical_not(), nothing).unsqueeze(1);

        var greatest = values.amax([1]);
        terms.Group?.AllReduce(greatest, ReduceOperation.Max);
        var exponentials = values.sub(greatest.unsqueeze(1)).exp_();
        var picked = values.gather(1, columns).squeeze(1).masked_fill(isOwn.logical_not(), nothing);
        var sums = stack(smoothing > 0 ? [exponentials.sum(1), picked, values.sum(1)] : [exponentials.sum(1), picked]);
        terms.Group?.AllReduce(sums);

        // The logarithm of the sum of the exponentials of all logits of a row.
        var logarithm = sums[0].log() + greatest;
        var losses = logarithm - (sums[1] * kept);
        if (smoothing > 0)
            losses = losses - (sums[2] * share);
        if (z > 0)
            losses = losses + (logarithm.square() * factor);
        var loss = losses.masked_fill(counts.logical_not(), nothing).sum() / rows;

        var weight = counts.to_type(ScalarType.Float32) / rows;
        var scale = weight / sums[0];
        if (z > 0)
            scale = scale * ((logarithm * twice) + one);
        var gradient = exponentials.mul_(scale.unsqueeze(1));
        if (smoothing > 0)
            gradient.sub_((weight * share).unsqueeze(1));
        gradient.scatter_add_(1, columns, (weight * isOwn.to_type(ScalarType.Float32) * given).unsqueeze(1));
        return (loss.MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
    }
}
