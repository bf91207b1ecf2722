using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>What a step returned for each microbatch, like SMP's <c>StepOutput</c>. Disposing it disposes the tensors.</summary>
/// <remarks>The tensors have no graph. They belong to the dispose scope in which the step was called, if there is one.</remarks>
public sealed class StepOutput : IDisposable
{
    private readonly IReadOnlyList<double>? _shares;

    internal StepOutput(IReadOnlyList<Tensor> outputs, IReadOnlyList<double>? shares = null) => (Outputs, _shares) = (outputs, shares);

    /// <summary>Of microbatches of which one tensor is returned.</summary>
    internal static StepOutput Of(IReadOnlyList<Tensor[]> results, IReadOnlyList<double>? shares = null) =>
        new([.. results.Select(tensors => tensors[0])], shares);

    /// <summary>The output of each microbatch, in order.</summary>
    public IReadOnlyList<Tensor> Outputs { get; }

    /// <summary>The mean over this rank's microbatches of outputs that are single numbers, such as losses.</summary>
    /// <remarks>
    /// Where microbatches have weights (<see cref="StepOptions.Weight"/>) it is this rank's part of the weighted mean over all ranks:
    /// <see cref="Session.MeanOverDataRanks"/> of it is that mean.
    /// </remarks>
    /// <exception cref="InvalidOperationException">The outputs have more than one element.</exception>
    public double ReduceMean() => _shares is null
        ? ReduceSum() / Outputs.Count
        : Outputs.Zip(_shares, (output, share) => share == 0 ? 0 : Number(output) * share).Sum();

    /// <summary>The sum over this rank's microbatches of outputs that are single numbers.</summary>
    /// <exception cref="InvalidOperationException">The outputs have more than one element.</exception>
    public double ReduceSum() => Outputs.Sum(Number);

    /// <summary>The outputs joined along their first dimension: the output of the whole batch.</summary>
    public Tensor Concat() => cat([.. Outputs]);

    /// <summary>The outputs along a new first dimension, one entry for each microbatch.</summary>
    public Tensor Stack() => stack(Outputs);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var output in Outputs)
            output.Dispose();
    }

    private static double Number(Tensor output)
    {
        if (output.numel() != 1)
        {
            throw new InvalidOperationException(
                $"An output of shape [{string.Join(", ", output.shape)}] is not a single number; use Stack() or Concat() and reduce that.");
        }

        using var _ = NewDisposeScope();
        return output.to_type(ScalarType.Float64).item<double>();
    }
}
