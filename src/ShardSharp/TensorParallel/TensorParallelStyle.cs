using ShardSharp.Communication;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>How a module is spread over the ranks of a tensor-parallel group.</summary>
/// <remarks>
/// After Shoeybi et al., "Megatron-LM" (arXiv:1909.08053), and Korthikanti et al., "Reducing Activation Recomputation in Large Transformer
/// Models" (arXiv:2205.05198), for sequence parallelism.
/// </remarks>
public abstract class TensorParallelStyle
{
    private protected TensorParallelStyle()
    {
    }

    /// <summary>What the style does, in a few words, for reports.</summary>
    public abstract string Description { get; }

    /// <summary>Divides the outputs of a linear layer over the ranks; the next one takes them divided (<see cref="Row"/>).</summary>
    /// <param name="gatherOutput">Whether every rank gets all outputs; for layers that no divided layer follows, such as a head.</param>
    /// <param name="headSize">Outputs that belong together, as those of an attention head do; ranks get whole heads.</param>
    /// <param name="copyHeads">Whether fewer heads than ranks are held by several ranks each, as key and value heads may be.</param>
    public static TensorParallelStyle Column(bool gatherOutput = false, long headSize = 1, bool copyHeads = false) =>
        new ColumnParallel { GathersOutput = gatherOutput, HeadSize = headSize, CopiesHeads = copyHeads };

    /// <summary>Divides the outputs of a linear layer that computes several things at once, such as queries, keys and values.</summary>
    /// <param name="headSize">Outputs that belong together; ranks get whole heads of each section.</param>
    /// <param name="sections">How many outputs each of them has, in order; together all outputs of the layer.</param>
    public static TensorParallelStyle FusedColumn(long headSize, params IReadOnlyList<long> sections) =>
        new ColumnParallel { HeadSize = headSize, Sections = sections };

    /// <summary>The same where sections may have fewer heads than there are ranks, as keys and values of grouped-query attention.</summary>
    /// <param name="headSize">Outputs that belong together; ranks get whole heads of each section.</param>
    /// <param name="copyHeads">Whether each head of such a section is held by several ranks, whose gradients are summed.</param>
    /// <param name="sections">How many outputs each of them has, in order; together all outputs of the layer.</param>
    public static TensorParallelStyle FusedColumn(long headSize, bool copyHeads, params IReadOnlyList<long> sections) =>
        new ColumnParallel { HeadSize = headSize, CopiesHeads = copyHeads, Sections = sections };

    /// <summary>Divides the inputs of a linear layer over the ranks, which get them divided, and sums what they compute. The bias counts once.</summary>
    /// <param name="headSize">Inputs that belong together; as given to the layer before.</param>
    public static TensorParallelStyle Row(long headSize = 1) => new RowParallel { HeadSize = headSize };

    /// <summary>Divides the vectors of an embedding over the ranks. The ranks need not divide their number.</summary>
    public static TensorParallelStyle VocabularyEmbedding() => new VocabularyEmbedding();

    /// <summary>
    /// Leaves a module whole. With sequence parallelism it computes each rank's part of the sequence, as norms, dropout and anything else
    /// that treats positions alone can; gradients of its parameters are summed over the ranks, and dropout drops on each rank for itself.
    /// </summary>
    public static TensorParallelStyle SequenceParallel() => new SharedParameters { Always = false };

    /// <summary>
    /// Leaves a module whole that computes with what is divided, such as a norm of each head or dropout of attention weights: gradients are
    /// summed over the ranks, and dropout drops on each rank for itself.
    /// </summary>
    public static TensorParallelStyle SharedParameters() => new SharedParameters { Always = true };

    /// <summary>
    /// Leaves a module whole that computes the same on every rank. With sequence parallelism ranks go on with their part of the sequence of
    /// what it returns, as that of a position embedding.
    /// </summary>
    public static TensorParallelStyle SequenceScatter() => new SequenceScatter();

    /// <summary>Leaves a module whole that needs the whole sequence, also with sequence parallelism, and computes the same on every rank.</summary>
    public static TensorParallelStyle SequenceGather() => new SequenceGather();

    /// <summary>Leaves a module whole that computes the same on every rank.</summary>
    public static TensorParallelStyle Replicated() => new Replicated();

    /// <summary>Whatever else is needed: divides parameters of a module, and changes what it is called with and what it returns.</summary>
    /// <param name="dimensions">Which dimension of which parameter of the module is divided, by its name in the module.</param>
    /// <param name="before">Given what the module is called with and the ranks; returns what to call it with. See
    /// <see cref="TensorParallelOperations"/>.</param>
    /// <param name="after">Given what the module returned and the ranks; returns what to return.</param>
    public static TensorParallelStyle Custom(
        IReadOnlyDictionary<string, int> dimensions, Func<object?[], ProcessGroup, object?[]>? before = null,
        Func<object?, ProcessGroup, object?>? after = null) => new CustomStyle(dimensions, before, after);

    /// <summary>Divides the parameters of a module and puts hooks on it.</summary>
    internal abstract void Apply(string name, nn.Module module, TensorParallel.TensorParallelContext context);

    /// <summary>Makes a module of the type that a style is for of a module.</summary>
    private protected TModule Require<TModule>(string name, nn.Module module)
        where TModule : nn.Module => module as TModule ?? throw new TensorParallelException(
            $"Module '{name}' is a {module.GetType().Name}; the style '{Description}' is for a {typeof(TModule).Name}.");
}
