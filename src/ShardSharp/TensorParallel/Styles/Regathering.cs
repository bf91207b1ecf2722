using ShardSharp.Modules;
using ShardSharp.TensorParallel.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>
/// Has a linear layer that takes a gathered sequence keep this rank's part of it for backward, which gathers it once more, instead of the whole. Half
/// of what attention and feed-forward networks would keep of their inputs on two ranks, for one more all_gather.
/// </summary>
/// <param name="linear">The layer.</param>
/// <param name="context">The ranks.</param>
internal sealed class Regathering(Linear linear, TensorParallelContext context)
{
    private (Tensor Part, Tensor Whole)? _taken;

    /// <summary>Takes the layer's call over.</summary>
    /// <param name="part">This rank's part of the sequence.</param>
    /// <param name="whole">What <see cref="TensorParallelContext.Enter"/> made of it.</param>
    /// <returns>What to call the layer with instead; null where it is to compute as ever.</returns>
    public Tensor? TryTake(Tensor part, Tensor whole)
    {
        // Hooks and children of the program's, such as adapters, want to see what the layer is called with.
        _taken = context.SequenceParallel && linear.weight!.requires_grad && is_grad_enabled() && !linear.children().Any() && !HookStack.Of(linear).HasOthers
            ? (part, whole) : null;
        return _taken is null ? null : empty(0, whole.shape[^1], dtype: whole.dtype, device: whole.device);
    }

    /// <summary>Computes what was taken over.</summary>
    /// <param name="returned">What the layer returned.</param>
    /// <returns>Its output; null where it computed itself.</returns>
    public Tensor? Finish(Tensor returned)
    {
        if (_taken is not { } taken)
            return null;
        _taken = null;
        returned.Dispose();
        return GatheredLinear.Run(taken.Whole, taken.Part, linear.weight!, linear.bias, context.Gathered!);
    }
}
