using System.Text.Json;
using System.Text.Json.Nodes;

namespace ShardSharp;

/// <summary>What a training goes on from.</summary>
public sealed class ResumedCheckpoint
{
    private readonly JsonNode? _content;

    internal ResumedCheckpoint(string path, string tag, IReadOnlyList<string> missing, IReadOnlyList<string> unexpected, JsonNode? content) =>
        (Path, Tag, Missing, Unexpected, _content) = (path, tag, missing, unexpected, content);

    /// <summary>The checkpoint's folder.</summary>
    public string Path { get; }

    /// <summary>The checkpoint's tag.</summary>
    public string Tag { get; }

    /// <summary>Tensors of this rank's model that the checkpoint does not have, and which stayed as they were; none with <c>strict</c>.</summary>
    public IReadOnlyList<string> Missing { get; }

    /// <summary>Tensors of the checkpoint's model that the program's does not have on any rank; none with <c>strict</c>.</summary>
    public IReadOnlyList<string> Unexpected { get; }

    /// <summary>
    /// Whether the models are cut into the stages of the pipeline as those of the checkpoint were, or into another number of stages, which are on other
    /// ranks anyway. If not, <see cref="Session.UsePartitionOf"/> would have made it so, and training go on bit by bit.
    /// </summary>
    public bool IsCutAlike { get; internal init; } = true;

    /// <summary>What the program saved of its own, as <c>userContent</c>.</summary>
    /// <typeparam name="T">The type that was saved, or one that System.Text.Json reads from it.</typeparam>
    /// <returns>The content; the type's default if there was none.</returns>
    public T? UserContent<T>() => _content is null ? default : _content.Deserialize<T>();
}
