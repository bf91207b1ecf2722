using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>How a step cuts its batch, and what the losses of its parts count.</summary>
public sealed record StepOptions
{
    /// <summary>
    /// Tensors that every microbatch gets whole (SMP: <c>non_split_inputs</c>), by their position among the inputs, and after them the labels.
    /// </summary>
    /// <value>None unless set.</value>
    public IReadOnlyCollection<int> WholeTensors { get; init; } = [];

    /// <summary>
    /// The dimensions along which tensors are cut (SMP: <c>input_split_axes</c>), by their position as in <see cref="WholeTensors"/>.
    /// </summary>
    /// <value>The first dimension of every tensor unless set.</value>
    public IReadOnlyDictionary<int, int> SplitDimensions { get; init; } = new Dictionary<int, int>();

    /// <summary>
    /// What the mean loss of a microbatch counts, from its labels: the number of tokens that are not ignored, say. Gradients are then those of the
    /// mean over all tokens of all microbatches and ranks. A microbatch of weight 0 adds nothing, whatever its loss.
    /// </summary>
    /// <value>Null unless set: all microbatches count the same.</value>
    public Func<IReadOnlyList<Tensor>, double>? Weight { get; init; }

    /// <summary>Number of microbatches.</summary>
    /// <value>Null unless set: <c>microbatches</c> of the configuration.</value>
    public int? Microbatches { get; init; }

    /// <summary>The dimension along which a tensor is cut; null for one that is not.</summary>
    internal int? DimensionOf(int tensor) =>
        WholeTensors.Contains(tensor) ? null : SplitDimensions.TryGetValue(tensor, out var dimension) ? dimension : 0;
}
