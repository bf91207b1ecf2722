namespace ShardSharp.HuggingFace;

/// <summary>A model, a tokenizer or adapters, or an option of theirs, that cannot be run as transformers would run it.</summary>
public sealed class UnsupportedModelException : NotSupportedException
{
    internal UnsupportedModelException(string message)
        : base(message)
    {
    }
}
