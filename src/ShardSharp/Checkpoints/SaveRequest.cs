using System.Text.Json.Nodes;

namespace ShardSharp.Checkpoints;

/// <summary>What is to become of a checkpoint, the same on all ranks.</summary>
/// <param name="Folder">The folder of all checkpoints.</param>
/// <param name="Tag">Its tag.</param>
/// <param name="Partial">Whether the ranks' parts are to stay apart; otherwise the weights are put together.</param>
/// <param name="KeptPartial">How many partial checkpoints stay; null for all.</param>
/// <param name="Copies">Whether training goes on while it is written.</param>
internal sealed record SaveRequest(string Folder, string Tag, bool Partial, int? KeptPartial, bool Copies)
{
    /// <summary>For messages.</summary>
    public string Text => $"{Tag}{(Partial ? "" : " in full")}{(Copies ? " in the background" : "")}";
}

/// <summary>What a rank saves.</summary>
/// <param name="Held">Its tensors.</param>
/// <param name="Optimizers">What its optimizers have besides.</param>
/// <param name="State">Everything else; that of the first rank is saved.</param>
internal sealed record SaveContents(IReadOnlyList<HeldTensor> Held, IReadOnlyList<OptimizerSnapshot> Optimizers, JsonObject State);
