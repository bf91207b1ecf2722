namespace ShardSharp.HuggingFace;

/// <summary>A model, or an option of its <c>config.json</c>, that cannot be run as transformers would run it.</summary>
public sealed class UnsupportedModelException : NotSupportedException
{
    internal UnsupportedModelException(string message)
        : base(message)
    {
    }
}
