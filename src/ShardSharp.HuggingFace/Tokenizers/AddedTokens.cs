using System.Buffers;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>Finds added tokens in a text: of those that begin first, the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<char, (string Content, AddedToken Token)[]> _tokens;
    private readonly SearchValues<char> _beginnings;

    /// <param name="tokens">The tokens, with the texts to look for.</param>
    public AddedTokens(IEnumerable<(string Content, AddedToken Token)> tokens)
    {
        _tokens = tokens.Where(each => each.Content.Length > 0).GroupBy(each => each.Content[0])
            .ToDictionary(group => group.Key, group => group.OrderByDescending(each => each.Content.Length).ToArray());
        _beginnings = SearchValues.Create([.. _tokens.Keys]);
    }

    /// <summary>The text in pieces: tokens, and what lies between them, which is not empty.</summary>
    public IEnumerable<(int Start, string Text, AddedToken? Token)> Split(string text)
    {
        var (done, at) = (0, 0);
        while (Next(text, at) is var (begin, content, token))
        {
            var (start, end) = (begin, begin + content.Length);
            while (token.TakesLeft && start > done && char.IsWhiteSpace(text[start - 1]))
                start--;
            while (token.TakesRight && end < text.Length && char.IsWhiteSpace(text[end]))
                end++;
            if (start > done)
                yield return (done, text[done..start], null);
            yield return (start, content, token);
            done = at = end;
        }

        if (done < text.Length)
            yield return (done, text[done..], null);
    }

    private (int Start, string Content, AddedToken Token)? Next(string text, int from)
    {
        for (var at = from; at < text.Length; at++)
        {
            var step = text.AsSpan(at).IndexOfAny(_beginnings);
            if (step < 0)
                return null;
            at += step;
            foreach (var (content, token) in _tokens[text[at]])
            {
                if (text.AsSpan(at).StartsWith(content, StringComparison.Ordinal))
                    return (at, content, token);
            }
        }

        return null;
    }
}
