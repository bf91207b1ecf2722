namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>When the mark of a space is put before a text that has none there.</summary>
internal enum SpaceMark
{
    /// <summary>Never.</summary>
    None,

    /// <summary>Before the whole text, unless it begins with one.</summary>
    BeforeText,

    /// <summary>Behind each added token too, unless there is one.</summary>
    BeforePieces,

    /// <summary>Behind each added token too, even where there is one.</summary>
    Always,
}
