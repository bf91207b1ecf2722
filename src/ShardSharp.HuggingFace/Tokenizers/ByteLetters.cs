using System.Text;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The letters that stand for bytes in the vocabulary of a byte-level encoding: a printable one for each (Radford et al. 2019).</summary>
internal static class ByteLetters
{
    private static readonly char[] Letters = Make();

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
