using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>What BERT's tokenizer does with a text before it looks for tokens.</summary>
internal sealed record BertText
{
    /// <summary>Whether control characters are left out, and whitespace becomes spaces.</summary>
    public bool Cleans { get; init; } = true;

    /// <summary>Whether each ideograph is a word.</summary>
    public bool PartsIdeographs { get; init; } = true;

    /// <summary>Whether accents are left out.</summary>
    public bool StripsAccents { get; init; } = true;

    /// <summary>Whether capital letters become small ones.</summary>
    public bool Lowers { get; init; } = true;

    /// <summary>The words of a normalized text: what stands between whitespace, and each punctuation mark.</summary>
    public static IEnumerable<string> Words(string text)
    {
        var (start, at) = (0, 0);
        foreach (var rune in text.EnumerateRunes())
        {
            var end = at + rune.Utf16SequenceLength;
            var marks = BertCharacters.IsPunctuation(rune);
            if (marks || Rune.IsWhiteSpace(rune))
            {
                if (at > start)
                    yield return text[start..at];
                if (marks)
                    yield return text[at..end];
                start = end;
            }

            at = end;
        }

        if (start < text.Length)
            yield return text[start..];
    }

    /// <summary>The text as words are looked for in it.</summary>
    public string Normalize(string text)
    {
        var normalized = new StringBuilder(text.Length);
        foreach (var given in text.EnumerateRunes())
        {
            if (Cleans && BertCharacters.IsRemoved(given))
                continue;
            var rune = Cleans && Rune.IsWhiteSpace(given) ? new Rune(' ') : given;
            var isWord = PartsIdeographs && BertCharacters.IsIdeograph(rune);
            normalized.Append(isWord ? " " : "");
            foreach (var part in (StripsAccents ? BertCharacters.WithoutAccents(rune) : rune.ToString()).EnumerateRunes())
                normalized.Append(Lowers ? BertCharacters.Lower(part) : part.ToString());
            normalized.Append(isWord ? " " : "");
        }

        return normalized.ToString();
    }
}
