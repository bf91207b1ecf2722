using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>What a step returned for each microbatch, put together as the program did. Disposing it disposes the tensors.</summary>
/// <remarks>
/// The tensors have no graph. They belong to the dispose scope in which the step was called, if there is one, and what the methods make of them to
/// that in which these are called.
/// </remarks>
/// <typeparam name="TResult">A tensor, or a tuple, record, struct, array, list or dictionary of such.</typeparam>
public sealed class StepOutput<TResult> : IDisposable
{
    private readonly IReadOnlyList<double>? _shares;

    internal StepOutput(IReadOnlyList<TResult> outputs, IReadOnlyList<double>? shares) => (Outputs, _shares) = (outputs, shares);

    /// <summary>The output of each microbatch, in order.</summary>
    public IReadOnlyList<TResult> Outputs { get; }

    /// <summary>The mean of each tensor over this rank's microbatches, of the tensor's shape; in float32 of whole numbers.</summary>
    /// <remarks>Where microbatches have weights it is this rank's part of the weighted mean, as in <see cref="StepOutput.ReduceMean"/>.</remarks>
    /// <inheritdoc cref="Stack"/>
    public TResult ReduceMean() => Combined(tensors =>
    {
        var all = stack(tensors);
        var values = all.is_floating_point() ? all : all.to_type(ScalarType.Float32);
        if (_shares is null)
            return values.mean([0]);
        var sum = zeros_like(values[0], dtype: ScalarType.Float32);
        foreach (var (index, share) in _shares.Index())
        {
            // What counts nothing may be no number.
            if (share != 0)
                sum.add_(values[index].to_type(ScalarType.Float32), alpha: share);
        }

        return sum.to_type(values.dtype);
    });

    /// <summary>The sum of each tensor over this rank's microbatches, of the tensor's shape and type.</summary>
    /// <inheritdoc cref="Stack"/>
    public TResult ReduceSum() => Combined(tensors =>
    {
        var all = stack(tensors);
        return all.sum([0], type: all.dtype);
    });

    /// <summary>Each tensor joined along its first dimension, as of the whole batch; single numbers become a vector.</summary>
    /// <inheritdoc cref="Stack"/>
    public TResult Concat() => Combined(tensors => tensors[0].dim() == 0 ? stack(tensors) : cat(tensors));

    /// <summary>Each tensor along a new first dimension, one entry for each microbatch.</summary>
    /// <exception cref="InvalidOperationException">
    /// The outputs are put together in different ways, or differ in something that is no tensor.
    /// </exception>
    public TResult Stack() => Combined(tensors => stack(tensors));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Outputs.SelectMany(output => TensorParts.Of(output, out _)))
            tensor.Dispose();
    }

    private TResult Combined(Func<Tensor[], Tensor> combine)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var parts = Outputs.Select(output =>
        {
            var tensors = new List<Tensor>();
            return (Structure: TensorStructure.Of(output, tensors), Tensors: tensors);
        }).ToArray();
        var first = parts[0].Structure;
        foreach (var (index, (structure, _)) in parts.Index())
        {
            if (first.DifferenceTo(structure) is { } difference)
            {
                throw new InvalidOperationException(
                    $"The outputs of microbatches 0 and {index} cannot be combined: {difference}. Put what differs into tensors, or use Outputs.");
            }
        }

        return (TResult)first.Build(parts[0].Tensors.Select(
            (_, i) => combine([.. parts.Select(part => part.Tensors[i])]).MoveToOuterDisposeScope()))!;
    }
}
