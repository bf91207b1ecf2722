using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>A point in a model's graph that tells when backward comes by.</summary>
/// <remarks>
/// TorchSharp has no hooks on tensors. An identity on a module's input does as well: autograd runs its backward after that of everything
/// that was computed later, and a gradient reaches its parameter as soon as it is known.
/// </remarks>
internal sealed class BackwardMarker : autograd.SingleTensorFunction<BackwardMarker>
{
    private const string Passed = "passed";

    public override string Name => nameof(BackwardMarker);

    /// <summary>A view of the tensor; <paramref name="passed"/> is called when the gradient with respect to it is known.</summary>
    public static Tensor Mark(Tensor tensor, Action passed)
    {
        // TorchSharp makes another tensor of the same size, for the case that no gradient arrives, which need not outlive this scope.
        using var scope = NewDisposeScope();
        return apply(tensor, passed).MoveToOuterDisposeScope();
    }

    /// <summary>Whether a failure comes from writing to a marked tensor, whose gradient autograd would then not know.</summary>
    public static bool IsWrittenTo(Exception failure) =>
        failure is ExternalException && failure.Message.Contains("is a view and is being modified inplace", StringComparison.Ordinal);

    /// <summary>What to do about it, where the markers are there for reductions during backward.</summary>
    public static InvalidOperationException Explain(Exception failure) => new(
        "A module changes its input in place, which it cannot while gradients are reduced during backward. Set overlapping_allreduce to false for "
        + "this model, or let the module compute a new tensor.", failure);

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        // One instance serves all applications of a function, so what belongs to this one goes into its context.
        ctx.save_data(Passed, vars[1]);
        return ((Tensor)vars[0]).alias();
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        ((Action)ctx.get_data(Passed))();
        return [grad_output.alias(), null!];
    }
}
