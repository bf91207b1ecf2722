using System.Text.Json.Nodes;

namespace ShardSharp.Checkpoints;

/// <summary>What a checkpoint says of itself: which tensors it has, where their parts lie, and everything that is no tensor.</summary>
/// <param name="Created">When it was saved, in universal time.</param>
/// <param name="Ranks">How many ranks saved it.</param>
/// <param name="Tensors">The tensors, in the order of their names.</param>
/// <param name="State">What a training keeps besides tensors.</param>
internal sealed record CheckpointIndex(
    DateTime Created, int Ranks, IReadOnlyList<StoredTensor> Tensors, JsonObject State)
{
    /// <summary>Name of the file in the checkpoint's folder.</summary>
    public const string FileName = "index.json";

    /// <summary>What the index says under <c>format</c>.</summary>
    public const string Format = "shardsharp.checkpoint";

    /// <summary>The version that this program writes, and the newest that it reads.</summary>
    public const int Version = 1;

    /// <summary>Bytes of all tensors.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>The names of all files, besides the index.</summary>
    public IEnumerable<string> Files =>
        Tensors.SelectMany(tensor => tensor.Parts).Select(part => part.File).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
}
