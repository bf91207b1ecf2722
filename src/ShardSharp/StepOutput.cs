using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>What a step returned for each microbatch, like SMP's <c>StepOutput</c>. Disposing it disposes the tensors.</summary>
/// <remarks>The tensors have no graph. They belong to the dispose scope in which the step was called, if there is one.</remarks>
public sealed class StepOutput : IDisposable
{
    internal StepOutput(IReadOnlyList<Tensor> outputs) => Outputs = outputs;

    /// <summary>The output of each microbatch, in order.</summary>
    public IReadOnlyList<Tensor> Outputs { get; }

    /// <summary>The mean over this rank's microbatches of outputs that are single numbers, such as losses.</summary>
    /// <exception cref="InvalidOperationException">The outputs have more than one element.</exception>
    public double ReduceMean() => ReduceSum() / Outputs.Count;

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
