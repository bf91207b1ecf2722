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
    /// The same by name. An input is called as the parameter of the model's <c>forward</c>, and a part of it by its members, keys or
    /// indexes after that, as <c>batch.Mask</c> or <c>features.0</c>; what else the step is given begins with <c>labels</c>, as <c>labels.Weights</c>. A
    /// name stands for all tensors in what it names.
    /// </summary>
    /// <value>None unless set.</value>
    public IReadOnlyCollection<string> WholeNames { get; init; } = [];

    /// <summary>The dimensions along which tensors are cut, by name as in <see cref="WholeNames"/>; the longest name that fits counts.</summary>
    /// <value>The first dimension of every tensor unless set.</value>
    public IReadOnlyDictionary<string, int> NamedSplitDimensions { get; init; } = new Dictionary<string, int>();

    /// <summary>
    /// Whether a batch may be cut into microbatches that differ by one sample, and into fewer if it has fewer samples, as the last one of an epoch. The
    /// loss of each, which must be a mean over its samples, then counts by their number, here and on ranks with other samples.
    /// </summary>
    /// <value><c>false</c> unless set: a batch that microbatches do not divide is an error.</value>
    public bool Uneven { get; init; }

    /// <summary>
    /// What the mean loss of a microbatch counts, from its labels: the number of tokens that are not ignored, say. Gradients are then those of the
    /// mean over all tokens of all microbatches and ranks. A microbatch of weight 0 adds nothing, whatever its loss.
    /// </summary>
    /// <value>Null unless set: all microbatches count the same.</value>
    public Func<IReadOnlyList<Tensor>, double>? Weight { get; init; }

    /// <summary>Number of microbatches.</summary>
    /// <value>Null unless set: <c>microbatches</c> of the configuration.</value>
    public int? Microbatches { get; init; }

    /// <summary>Along which dimension each tensor is cut; null for one that is not.</summary>
    /// <param name="names">What the tensors are called, inputs first.</param>
    /// <exception cref="ArgumentException">A name that was given stands for no tensor.</exception>
    internal Func<int, int?> DimensionsOf(IReadOnlyList<string> names)
    {
        if (WholeNames.Concat(NamedSplitDimensions.Keys).FirstOrDefault(name => !names.Any(tensor => Fits(name, tensor))) is { } unknown)
        {
            throw new ArgumentException(
                $"No tensor of the step is called '{unknown}', or lies in it. There are: {string.Join(", ", names)}.", nameof(names));
        }

        return tensor => WholeTensors.Contains(tensor) || WholeNames.Any(name => Fits(name, names[tensor])) ? null
            : SplitDimensions.TryGetValue(tensor, out var dimension) ? dimension
            : NamedSplitDimensions.Where(named => Fits(named.Key, names[tensor])).OrderByDescending(named => named.Key.Length)
                .Select(named => named.Value).FirstOrDefault();
    }

    private static bool Fits(string name, string tensor) =>
        tensor.StartsWith(name, StringComparison.Ordinal) && (tensor.Length == name.Length || tensor[name.Length] == '.');
}
