using ShardSharp.TensorParallel.Automatic;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>Which modules of a model are spread over the ranks of a tensor-parallel group, and how.</summary>
/// <remarks>
/// Modules that no pattern fits stay whole and compute the same on every rank. A plan that does not fit the model is refused with the module's
/// name and what would work.
/// </remarks>
/// <param name="styles">
/// Patterns for names of modules in the model, such as <c>layers.*.mlp.up_proj</c>, and their styles. <c>*</c> stands for any characters but a
/// dot, <c>**</c> for any at all. A module takes the style of the first pattern that fits.
/// </param>
public sealed class TensorParallelPlan(IReadOnlyDictionary<string, TensorParallelStyle> styles)
{
    private TensorParallelPlan(TensorParallelPlan other)
        : this(other.Styles) =>
        (SequenceParallel, KeepsLogitsDivided, ReleasesOutputs, Reasons, SequenceStyles, SequenceProblem) =
            (other.SequenceParallel, other.KeepsLogitsDivided, other.ReleasesOutputs, other.Reasons, other.SequenceStyles, other.SequenceProblem);

    /// <summary>Patterns and styles.</summary>
    public IReadOnlyDictionary<string, TensorParallelStyle> Styles { get; } = styles ?? throw new ArgumentNullException(nameof(styles));

    /// <summary>
    /// Whether activations between the pairs of divided layers are divided along the sequence, which saves their memory and the work on them;
    /// modules there need the styles for it.
    /// </summary>
    public bool SequenceParallel { get; init; }

    /// <summary>
    /// Whether layers that would gather their output, as heads do, leave it divided: the model then returns this rank's part of the logits, and
    /// <c>model.CrossEntropy</c> computes the loss without ever having them whole.
    /// </summary>
    public bool KeepsLogitsDivided { get; init; }

    /// <summary>
    /// Whether what modules with styles return is disposed when the module that called them returns something else, rather than with the dispose scope
    /// of the whole forward. This saves the memory of what is only added to a residual. Code that keeps such a tensor longer, as in a field, fails with an
    /// error that says so; views and clones of it may be kept.
    /// </summary>
    /// <value>Default false; true in plans of models of ShardSharp.HuggingFace.</value>
    public bool ReleasesOutputs { get; init; }

    /// <summary>Why modules were left out, by their names, where the plan was made automatically.</summary>
    internal IReadOnlyDictionary<string, string> Reasons { get; init; } = new Dictionary<string, string>();

    /// <summary>Styles that sequence parallelism needs besides, where the plan was made automatically.</summary>
    internal IReadOnlyDictionary<string, TensorParallelStyle> SequenceStyles { get; init; } = new Dictionary<string, TensorParallelStyle>();

    /// <summary>Why sequences cannot be divided, where the plan was made automatically; null if they can or nobody has looked.</summary>
    internal string? SequenceProblem { get; init; }

    /// <summary>All that is applied: patterns and styles, the first that fits a module first.</summary>
    internal IEnumerable<KeyValuePair<string, TensorParallelStyle>> Applied => SequenceParallel ? Styles.Concat(SequenceStyles) : Styles;

    /// <summary>
    /// Makes a plan by looking at one forward of a module: attention and feed-forward networks are recognised by the calls of their linear layers,
    /// and tried out part by part on this rank before they are divided. Without sequence parallelism, which <see cref="WithSequenceParallelism"/> turns
    /// on where trying has shown that what lies between divided layers treats each position for itself.
    /// </summary>
    /// <param name="module">The module, whole.</param>
    /// <param name="degree">Number of ranks.</param>
    /// <param name="example">What to call it with; nothing makes token ids or numbers up where the module takes one tensor.</param>
    /// <exception cref="TensorParallelException">Nothing can be divided, or no example can be made up; the message says why.</exception>
    public static TensorParallelPlan Automatic(nn.Module module, int degree, params Tensor[] example)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(example);
        ArgumentOutOfRangeException.ThrowIfLessThan(degree, 1);
        return AutomaticPlan.Of(module, degree, example);
    }

    /// <summary>The same plan with or without sequence parallelism.</summary>
    /// <param name="enabled">Whether to divide activations along the sequence.</param>
    /// <exception cref="TensorParallelException">The plan was made automatically, and the model's sequences cannot be divided; the message says why.</exception>
    public TensorParallelPlan WithSequenceParallelism(bool enabled = true) => enabled && SequenceProblem is not null
        ? throw new TensorParallelException(
            $"Sequences are not divided by this automatic plan: {SequenceProblem}. Leave sequence parallelism off, or write a plan with the styles "
            + "SequenceParallel, SequenceScatter, SequenceGather and Replicated for what lies between divided layers.")
        : new(this) { SequenceParallel = enabled };

    /// <summary>The same plan with logits left divided or gathered.</summary>
    /// <param name="enabled">Whether to leave them divided.</param>
    public TensorParallelPlan WithDividedLogits(bool enabled = true) => new(this) { KeepsLogitsDivided = enabled };

    /// <summary>The same plan with outputs disposed early or not.</summary>
    /// <param name="enabled">What <see cref="ReleasesOutputs"/> is to be.</param>
    public TensorParallelPlan WithReleasedOutputs(bool enabled = true) => new(this) { ReleasesOutputs = enabled };
}
