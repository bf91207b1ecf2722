using static TorchSharp.torch;

namespace ShardSharp.Pipeline;

/// <summary>
/// A model that lists its parts, so that a pipeline knows where to cut it without running it first. Other models are traced; this is for those
/// that are to be cut with <c>skip_tracing</c>, or whose parts a trace cannot find.
/// </summary>
public interface IPipelineModel
{
    /// <summary>
    /// The modules whose calls, one after another, are the model's forward: the first takes the model's input, each other what the one before
    /// returned, and the last returns the model's output. Nothing happens between two of them. A part may list parts in turn, such as a block that
    /// may be cut inside; see <see cref="PipelinePart"/> for parts that are not to be modules of the model.
    /// </summary>
    IReadOnlyList<nn.Module> PipelineParts { get; }
}
