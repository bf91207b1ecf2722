using ShardSharp.Communication;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>
/// What a layer computed of a gathered sequence that is not kept: as it is forward. Backward comes here before it comes to the layer, which needs
/// the sequence for the gradient of its weight, and gathers it again.
/// </summary>
internal sealed class GatherAgain : autograd.SingleTensorFunction<GatherAgain>
{
    private const string Rows = "rows";

    public override string Name => nameof(GatherAgain);

    /// <param name="output">What the layer returned.</param>
    /// <param name="part">This rank's part [.., part, ..] of what it was called with.</param>
    /// <param name="rows">What it was called with.</param>
    /// <param name="dimension">Which dimension was divided, from 0.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="total">Length of all parts together.</param>
    /// <returns>The output, which may be written to in place.</returns>
    public static Tensor Run(Tensor output, Tensor part, GatheredRows rows, int dimension, ProcessGroup group, long total) => RankFunction.IsRecorded(output)
        ? RankFunction.Applied(() => apply(output, RankFunction.Known(part), dimension, group, total, rows))
        : output.alias();

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_for_backward((List<Tensor>)vars[1]);
        ctx.save_data(RankFunction.Dimension, vars[2]);
        ctx.save_data(RankFunction.Group, vars[3]);
        ctx.save_data(RankFunction.Total, vars[4]);
        ctx.save_data(Rows, vars[5]);

        // Autograd lets nobody write to a view that a function returns.
        return ((Tensor)vars[0]).detach();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var rows = (GatheredRows)ctx.get_data(Rows);
        if (rows.IsGone)
        {
            using var scope = NewDisposeScope();
            using var unrecorded = no_grad();
            var part = ctx.get_saved_variables()[0];
            var (dimension, group, total) =
                ((int)ctx.get_data(RankFunction.Dimension), (ProcessGroup)ctx.get_data(RankFunction.Group), (long)ctx.get_data(RankFunction.Total));
            var features = part.shape[^1];
            TensorData.Set(rows.Tensor, RankFunction.Gradient(
                group,
                () => AlongDimension.Gather(part, dimension, group, total).reshape(-1, features),
                () => zeros(part.numel() / part.shape[dimension] * total / features, features, part.dtype, part.device)));
        }

        return [grad_output, null!, null!, null!, null!, null!];
    }
}
