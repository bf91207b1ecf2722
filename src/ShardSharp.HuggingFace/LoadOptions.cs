using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <summary>How <see cref="HuggingFaceModel.Load"/> loads a model.</summary>
public sealed record LoadOptions
{
    /// <summary>The element type of the parameters.</summary>
    /// <value>Null: as <c>config.json</c> says, or else as the first parameter is stored.</value>
    public ScalarType? Type { get; init; }

    /// <summary>Where the parameters shall be.</summary>
    /// <value>Null: the CPU.</value>
    public Device? Device { get; init; }

    /// <summary>
    /// Keys of <c>config.json</c> that this library does not know, and that you know to change nothing in what the model computes.
    /// </summary>
    /// <value>Empty: any key that is not known is an error.</value>
    public IReadOnlyCollection<string> IgnoredKeys { get; init; } = [];
}
