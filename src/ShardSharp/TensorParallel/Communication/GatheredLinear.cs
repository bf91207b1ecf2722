using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>A linear layer of a gathered tensor that keeps this rank's part of the tensor for backward, and not the whole.</summary>
internal sealed class GatheredLinear : autograd.SingleTensorFunction<GatheredLinear>
{
    private const string Input = "input", HasBias = "bias";

    public override string Name => nameof(GatheredLinear);

    /// <param name="whole">The gathered tensor [.., inputs].</param>
    /// <param name="part">This rank's part of it.</param>
    /// <param name="weight">[outputs, inputs]</param>
    /// <param name="bias">[outputs]; null for none.</param>
    /// <param name="input">Gathers the part again.</param>
    /// <returns>[.., outputs]</returns>
    public static Tensor Run(Tensor whole, Tensor part, Tensor weight, Tensor? bias, GatheredInput input)
    {
        using var kept = part.detach();
        return RankFunction.Applied(() => bias is null
            ? apply(whole, kept, weight, input)
            : apply(whole, kept, weight, bias, input));
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (whole, part, weight) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        var bias = vars.Length > 4 ? (Tensor)vars[3] : null;
        ctx.save_for_backward([part, weight]);
        ctx.save_data(Input, vars[^1]);
        ctx.save_data(HasBias, bias is not null);
        return nn.functional.linear(whole, weight, bias!);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        using var unrecorded = no_grad();
        using var scope = NewDisposeScope();
        var saved = ctx.get_saved_variables();
        var whole = ((GatheredInput)ctx.get_data(Input)).Again(saved[0]);
        var rows = grad_output.reshape(-1, grad_output.shape[^1]);
        var ofWhole = rows.matmul(saved[1]).reshape(whole.shape).MoveToOuterDisposeScope();
        var ofWeight = rows.t().matmul(whole.reshape(-1, whole.shape[^1])).MoveToOuterDisposeScope();
        return (bool)ctx.get_data(HasBias)
            ? [ofWhole, null!, ofWeight, rows.sum([0]).MoveToOuterDisposeScope(), null!]
            : [ofWhole, null!, ofWeight, null!];
    }
}
