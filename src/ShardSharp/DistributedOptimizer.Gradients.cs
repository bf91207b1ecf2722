using ShardSharp.Optimizers;
using ShardSharp.Precision;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>What happens to gradients between the model's step and the optimizer's.</content>
public partial class DistributedOptimizer
{
    /// <summary>The loss scale of float16 training (<c>fp16</c>), and whether the last step overflowed; null in other types.</summary>
    public LossScaler? LossScaler => _model.LossScaler;

    /// <summary>
    /// Scales the gradients so that their L2 norm, all of them taken as one vector, is at most <paramref name="maxNorm"/>, as
    /// <c>torch.nn.utils.clip_grad_norm_</c> does where a rank has all gradients. Every rank calls it, before <see cref="step"/>.
    /// </summary>
    /// <remarks>
    /// Where gradients are sharded, each element counts once, on the rank that owns it. The sum of squares is taken in float64.
    /// </remarks>
    /// <param name="maxNorm">The largest norm, above 0; infinity only measures.</param>
    /// <param name="errorIfNonFinite">Whether to throw on every rank if a gradient has an infinite element or one that is no number. Otherwise,
    /// and in float16 training, where <see cref="step"/> deals with it, the gradients stay as they are then.</param>
    /// <returns>The norm before clipping, the same on every rank.</returns>
    /// <exception cref="InvalidOperationException">The gradients are not averaged yet, or not all finite.</exception>
    public double ClipGradients(double maxNorm, bool errorIfNonFinite = true)
    {
        if (double.IsNaN(maxNorm) || maxNorm <= 0)
            throw new ArgumentOutOfRangeException(nameof(maxNorm), maxNorm, "Gradients are clipped to a norm above 0.");
        RequireAveragedGradients();
        using var scope = NewDisposeScope();
        var names = _model.NamedParameters.ToDictionary(named => (object)named.Parameter, named => named.Name, ReferenceEqualityComparer.Instance);
        var held = new List<(Tensor Gradient, int Holders)>();
        var gradients = new List<Tensor>();
        foreach (var parameter in parameters().Distinct())
        {
            if (parameter.grad is not { } gradient)
                continue;
            gradients.Add(gradient);
            held.AddRange(_model.HeldParts(names.GetValueOrDefault(parameter, ""), parameter, gradient));
        }

        var norm = GradientNorm.Of(held, _model.Shards, _model.TensorRanks, _model.PipelineRanks);
        if (double.IsFinite(norm))
            GradientNorm.Clip(gradients, norm, maxNorm);
        else if (errorIfNonFinite && LossScaler is null)
            throw NotFinite(norm);
        return norm;
    }

    /// <summary>Clips, and finds out whether gradients overflowed: one pass over them, one small all_reduce if they are sharded.</summary>
    private bool MayUpdate()
    {
        if (_model.GradientClipping is null && LossScaler is null)
            return true;
        var norm = ClipGradients(_model.GradientClipping ?? double.PositiveInfinity);
        LossScaler?.Update(overflow: !double.IsFinite(norm));
        return double.IsFinite(norm);
    }

    private void RequireAveragedGradients()
    {
        if (_model.HasOwnGradients)
        {
            throw new InvalidOperationException(
                "The last step of the model only accumulated gradients on this rank. The optimizer runs after a step that averages them: the "
                + "first outside AccumulateGradients, or the last of backward_passes_per_step.");
        }
    }

    private InvalidOperationException NotFinite(double norm)
    {
        string[] names =
        [
            .. _model.NamedParameters
                .Where(named => named.Parameter.grad is { } gradient && !double.IsFinite(SumOfSquares.Of(gradient)))
                .Select(named => named.Name),
        ];
        var where = names.Length == 0 ? "none of them on this rank" : $"here '{names[0]}', {names.Length} in all";
        return new InvalidOperationException(
            $"The norm of the gradients is {norm}: some have elements that are infinite or no numbers ({where}). Look at the loss of this step; a "
            + "smaller learning rate or loss may help.");
    }
}
