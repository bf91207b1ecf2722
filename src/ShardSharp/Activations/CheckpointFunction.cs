using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// What stands in autograd's graph for a checkpointed region. Given the <see cref="CheckpointCall"/>, what to keep, the outputs that are known
/// already, the inputs and the parameters; returns the outputs.
/// </summary>
/// <remarks>After Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).</remarks>
internal sealed class CheckpointFunction : autograd.MultiTensorFunction<CheckpointFunction>
{
    private const string Call = "call";

    /// <summary>The arguments before the tensors that autograd is to know of.</summary>
    private const int Leading = 3;

    public override string Name => nameof(CheckpointFunction);

    public override List<Tensor> forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.set_materialize_grads(false);
        ctx.save_data(Call, vars[0]);
        ctx.save_for_backward((List<Tensor>)vars[1]);
        return (List<Tensor>)vars[2];
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var call = (CheckpointCall)ctx.get_data(Call);
        List<Tensor?> gradients;
        using (var scope = NewDisposeScope())
        {
            try
            {
                call.Recomputation.LetGo();
                gradients = call.IsKept ? call.BackwardAgain(grad_outputs) : Backward(call, ctx, grad_outputs);
            }
            catch (Exception failure)
            {
                // libtorch's frames lie between here and whoever called backward. It refuses a gradient of another shape, which ends backward.
                call.Recomputation.Fail(failure);
                gradients = call.Recomputation.MayEndBackward ? call.RefusedGradients() : call.NoGradients();
            }
        }

        foreach (var gradient in grad_outputs)
            gradient.Dispose();
        call.Recomputation.HandOver(gradients);
        return
        [
            .. Enumerable.Repeat<Tensor>(null!, Leading), .. gradients.Select(gradient => gradient!),
            .. Enumerable.Repeat<Tensor>(null!, call.HasAnchor ? 1 : 0),
        ];
    }

    private static List<Tensor?> Backward(CheckpointCall call, autograd.AutogradContext ctx, List<Tensor> gradients)
    {
        call.BeginBackward();
        var inputs = call.BringBack(ctx.get_saved_variables());

        // Frees what was saved, now rather than with the graph; of a divided backward the graph is needed once more.
        if (call.Recomputation.Division is not { Keeps: true })
            ctx.Dispose();
        return call.Backward(inputs, gradients);
    }
}
