using ShardSharp.TensorParallel.Styles;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>An embedding whose vectors' elements the ranks share (SMP: <c>smp.nn.DistributedEmbedding</c>).</summary>
public sealed class DistributedEmbedding : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;
    private readonly DividedParameter _part;
    private readonly EmbeddingLookup _lookup;
    private readonly bool _isInner;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    /// <summary>Creates the part of this rank, with its slice of the weight.</summary>
    /// <param name="numEmbeddings">How many vectors there are.</param>
    /// <param name="embeddingDim">Elements of a vector, which the ranks divide.</param>
    /// <param name="ranks">The ranks that share it.</param>
    /// <param name="options">The defaults if null.</param>
    /// <param name="initial">The whole weight [vectors, elements], copied; drawn from a normal distribution if null, as one rank does after the
    /// same seed.</param>
    /// <exception cref="TensorParallelException">The ranks do not divide the elements.</exception>
    /// <exception cref="ArgumentException">An option, or the shape of the weight, cannot be.</exception>
    public DistributedEmbedding(
        long numEmbeddings, long embeddingDim, TensorRanks ranks, DistributedEmbeddingOptions? options = null, Tensor? initial = null)
        : this(numEmbeddings, embeddingDim, ranks, options, initial, isInner: false)
    {
    }

    /// <summary>Creates this rank's part of an embedding.</summary>
    internal DistributedEmbedding(Embedding whole, TensorRanks ranks)
        : this(
            whole.weight!.shape[0], whole.weight.shape[1], ranks,
            new DistributedEmbeddingOptions { PaddingIndex = EmbeddingOptions.Of(nameof(Embedding), whole, whole.weight, whole.weight.shape[0]).Padding },
            whole.weight, isInner: false)
    {
    }

    /// <param name="numEmbeddings">As above.</param>
    /// <param name="embeddingDim">As above.</param>
    /// <param name="ranks">As above.</param>
    /// <param name="options">As above.</param>
    /// <param name="initial">As above.</param>
    /// <param name="isInner">Whether it is called with the tokens of all ranks, and gives divided vectors.</param>
    internal DistributedEmbedding(
        long numEmbeddings, long embeddingDim, TensorRanks ranks, DistributedEmbeddingOptions? options, Tensor? initial, bool isInner)
        : base(nameof(DistributedEmbedding))
    {
        ArgumentNullException.ThrowIfNull(ranks);
        options ??= new DistributedEmbeddingOptions();
        Validate(numEmbeddings, embeddingDim, options, initial);
        ranks.RequireDivided(nameof(DistributedEmbedding), ("embedding_dim", embeddingDim));
        (_regime, _lookup, _isInner) = (new Regime(ranks), new EmbeddingLookup(options, ranks.Group), isInner);
        _part = DividedParameter.Even("weight", [numEmbeddings, embeddingDim], 1, ranks);
        using var scope = NewDisposeScope();
        _weight = _part.Of(initial ?? Drawn(numEmbeddings, embeddingDim, options));
        _weight.DetachFromDisposeScope();

        // A frozen embedding that is replaced stays frozen; a tensor says nothing of training.
        _weight.requires_grad = initial is not Parameter { requires_grad: false };
        RegisterComponents();
    }

    /// <inheritdoc/>
    public IEnumerable<DividedParameter> DividedParameters => [_part];

    /// <summary>This rank's part of the vectors.</summary>
    internal Parameter Weight => _weight;

    /// <summary>Looks vectors up.</summary>
    /// <param name="tokens">[batch, ..] of int64.</param>
    /// <returns>[batch, .., elements]</returns>
    /// <exception cref="ArgumentException">A token has no vector.</exception>
    public override Tensor forward(Tensor tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (_isInner)
            return _lookup.Run(_weight, tokens);
        using var scope = NewDisposeScope();
        return _regime.Undivide(_lookup.Run(_weight, _regime.AllSamples(tokens, tokens.shape[0]))).MoveToOuterDisposeScope();
    }

    private static Tensor Drawn(long numEmbeddings, long embeddingDim, DistributedEmbeddingOptions options)
    {
        using var _ = no_grad();
        var drawn = empty(numEmbeddings, embeddingDim).normal_(0, options.InitializerRange);
        if (options.PaddingIndex is { } padding)
            drawn[padding].zero_();
        return drawn;
    }

    private static void Validate(long numEmbeddings, long embeddingDim, DistributedEmbeddingOptions options, Tensor? initial)
    {
        if (numEmbeddings < 1 || embeddingDim < 1)
            throw new ArgumentException($"An embedding has {numEmbeddings} vectors of {embeddingDim} elements; both must be at least 1.");
        if (options.PaddingIndex is { } padding && (padding < 0 || padding >= numEmbeddings))
            throw new ArgumentException($"PaddingIndex is {padding}; the embedding has 0 to {numEmbeddings - 1}.");
        if (options.MaxNorm is <= 0 || options.NormType <= 0)
            throw new ArgumentException($"MaxNorm is {options.MaxNorm} and NormType {options.NormType}; both must be greater than 0.");
        if (initial is not null && !initial.shape.SequenceEqual([numEmbeddings, embeddingDim]))
            throw new ArgumentException($"The _weight has shape [{string.Join(", ", initial.shape)}]; the embedding is [{numEmbeddings}, {embeddingDim}].");
    }
}
