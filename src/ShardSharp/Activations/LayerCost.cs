namespace ShardSharp.Activations;

/// <summary>What a layer costs, as measured in one forward of a microbatch.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Kept">Bytes that stay for backward when it keeps its activations, with what it returns; so much is in use, too, when it has computed again.</param>
/// <param name="Returned">Bytes of what it returns, which stay in any case: they are the input of the next.</param>
/// <param name="Forward">How long its forward takes, which is what checkpointing it costs.</param>
internal readonly record struct LayerCost(string Name, long Kept, long Returned, TimeSpan Forward);
