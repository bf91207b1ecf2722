namespace ShardSharp.Activations;

/// <summary>What a layer costs, as measured in one forward of a microbatch.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Kept">Bytes that stay for backward when it keeps its activations, with what it returns; so much is in use, too, when it has computed again.</param>
/// <param name="Returned">Bytes of what it returns, which stay in any case: they are the input of the next.</param>
/// <param name="Forward">How long its forward takes, which is what checkpointing it costs.</param>
internal readonly record struct LayerCost(string Name, long Kept, long Returned, TimeSpan Forward)
{
    /// <summary>How much of that its last linear layer takes, which need not compute again where nothing needs its result.</summary>
    public TimeSpan LastProduct { get; init; }

    /// <summary>What it costs to keep what its linear layers return: those bytes, and the time of the rest of forward; null where it has none.</summary>
    public (long Bytes, TimeSpan Time)? Products { get; init; }

    /// <summary>What a layer may do.</summary>
    public IEnumerable<LayerChoice> Choices =>
        Products is null ? [LayerChoice.Keep, LayerChoice.Recompute] : [LayerChoice.Keep, LayerChoice.Selective, LayerChoice.Recompute];

    /// <summary>Bytes that stay for backward.</summary>
    public long BytesOf(LayerChoice choice) => choice switch
    {
        LayerChoice.Keep => Kept,
        LayerChoice.Selective => Returned + Products!.Value.Bytes,
        _ => Returned,
    };

    /// <summary>The most bytes in use for it alone.</summary>
    public long PeakOf(LayerChoice choice) => choice == LayerChoice.Keep ? Kept : Kept + Returned;

    /// <summary>How long it computes again.</summary>
    public TimeSpan TimeOf(LayerChoice choice) => choice switch
    {
        LayerChoice.Keep => TimeSpan.Zero,
        LayerChoice.Selective => Products!.Value.Time,
        _ => Forward,
    };
}
