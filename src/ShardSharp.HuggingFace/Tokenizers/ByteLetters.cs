using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The letters that stand for bytes in the vocabulary of a byte-level encoding: a printable one for each (Radford et al. 2019).</summary>
internal static class ByteLetters
{
    private static readonly char[] Letters = Make();
    private static readonly Dictionary<char, byte> Bytes = Letters.Index().ToDictionary(each => each.Item, each => (byte)each.Index);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<char> All => Letters;

    /// <summary>The letters of the UTF-8 bytes of a text.</summary>
    public static string Of(ReadOnlySpan<char> text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, bytes);
        return string.Create(bytes.Length, bytes, static (letters, source) =>
        {
            for (var i = 0; i < source.Length; i++)
                letters[i] = Letters[source[i]];
        });
    }

    /// <summary>The text whose bytes tokens stand for. A token with other letters stands for itself; what is no UTF-8 becomes U+FFFD.</summary>
    public static string Text(IReadOnlyList<string> tokens)
    {
        var bytes = new List<byte>();
        foreach (var token in tokens)
            bytes.AddRange(token.All(Bytes.ContainsKey) ? token.Select(letter => Bytes[letter]) : Encoding.UTF8.GetBytes(token));
        return Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>Printable characters of Latin-1 stand for themselves; the others get those from 256 on, in their order.</summary>
    private static char[] Make()
    {
        var letters = new char[256];
        var next = 256;
        for (var value = 0; value < letters.Length; value++)
            letters[value] = value is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff) ? (char)value : (char)next++;
        return letters;
    }
}
