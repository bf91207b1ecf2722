namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>A byte-level byte-pair encoding, as of GPT-2, RoBERTa, GPT-NeoX, Llama 3 and Qwen.</summary>
internal sealed class ByteLevelModel(BytePairs pairs) : TokenModel
{
    public override IReadOnlyDictionary<string, int> Vocabulary => pairs.Vocabulary;

    /// <summary>How a text is split into words.</summary>
    public WordPattern Words { get; init; } = WordPattern.Gpt2;

    /// <summary>Whether composed characters take the place of combining ones (Unicode's form C).</summary>
    public bool Composes { get; init; }

    /// <summary>Whether a text that does not begin with a space gets one.</summary>
    public bool AddsSpace { get; init; }

    public override string Normalize(string text) => Composes ? Composition.Of(text) : text;

    public override void Encode(string text, bool begins, List<int> ids)
    {
        foreach (var word in Words.Split(AddsSpace && text[0] != ' ' ? ' ' + text : text))
            pairs.Encode(ByteLetters.Of(word), ids);
    }

    public override string Decode(IReadOnlyList<string> tokens) => ByteLetters.Text(tokens);
}
