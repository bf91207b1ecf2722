using System.Buffers;

namespace ShardSharp.Launching;

/// <summary>
/// Makes whole, prefixed lines of text that arrives in pieces, as bytes of UTF-8 or as characters. A carriage return means that what
/// follows overwrites the line, as progress bars do: such a line keeps its last state. Before a line feed it is part of the end of line.
/// </summary>
/// <param name="lineFeed">The line feed, as T.</param>
/// <param name="carriageReturn">The carriage return, as T.</param>
/// <param name="prefix">Put before each line.</param>
internal sealed class LineAssembler<T>(T lineFeed, T carriageReturn, ReadOnlyMemory<T> prefix)
    where T : unmanaged, IEquatable<T>
{
    /// <summary>A longer line is passed on in pieces, so that a rank that never ends its line cannot fill the memory.</summary>
    public const int LongestLine = 1 << 20;

    private readonly ArrayBufferWriter<T> _line = new();
    private bool _returned;

    /// <summary>Takes more text and gives out the lines that are complete with it.</summary>
    public void Append(ReadOnlySpan<T> text, IBufferWriter<T> lines)
    {
        while (!text.IsEmpty)
        {
            if (_returned && !text[0].Equals(lineFeed) && !text[0].Equals(carriageReturn))
            {
                _line.ResetWrittenCount();
                _returned = false;
            }

            var end = text.IndexOfAny(lineFeed, carriageReturn);
            Grow(end < 0 ? text : text[..end], lines);
            if (end < 0)
                return;
            if (text[end].Equals(carriageReturn))
                _returned = true;
            else
                EndLine(lines);
            text = text[(end + 1)..];
        }
    }

    /// <summary>Gives out the last line where it has no end.</summary>
    public void Finish(IBufferWriter<T> lines)
    {
        if (_line.WrittenCount > 0)
            EndLine(lines);
    }

    private void Grow(ReadOnlySpan<T> text, IBufferWriter<T> lines)
    {
        for (var room = LongestLine - _line.WrittenCount; text.Length > room; room = LongestLine)
        {
            _line.Write(text[..room]);
            EndLine(lines);
            text = text[room..];
        }

        _line.Write(text);
    }

    private void EndLine(IBufferWriter<T> lines)
    {
        lines.Write(prefix.Span);
        lines.Write(_line.WrittenSpan);
        lines.Write([lineFeed]);
        _line.ResetWrittenCount();
        _returned = false;
    }
}
