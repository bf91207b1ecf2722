using System.Buffers;
using System.Text;

namespace ShardSharp.Launching;

/// <summary>Writes what ranks write as whole, prefixed lines; what no rank writes passes as it is. Safe for all threads.</summary>
/// <param name="inner">Where to.</param>
/// <param name="worldSize">How many ranks there are.</param>
/// <param name="currentRank">The rank that the calling code belongs to, or null.</param>
internal sealed class RankTextWriter(TextWriter inner, int worldSize, Func<int?> currentRank) : TextWriter(inner.FormatProvider)
{
    private readonly Lock _writing = new();
    private readonly ArrayBufferWriter<char> _lines = new();
    private readonly LineAssembler<char>[] _ranks = [.. Enumerable.Range(0, worldSize)
        .Select(rank => new LineAssembler<char>('\n', '\r', RankPrefix.Of(rank, worldSize).AsMemory()))];

    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Write([value]);

    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    public override void Write(string? value) => Write(value.AsSpan());

    public override void Write(ReadOnlySpan<char> buffer)
    {
        var rank = currentRank();
        lock (_writing)
        {
            if (rank is null)
            {
                inner.Write(buffer);
                return;
            }

            _ranks[rank.Value].Append(buffer, _lines);
            Pass();
        }
    }

    /// <summary>Writes out a rank's last line where it has no end.</summary>
    public void Finish(int rank)
    {
        lock (_writing)
        {
            _ranks[rank].Finish(_lines);
            Pass();
        }
    }

    /// <summary>Writes out the last lines of all ranks.</summary>
    public void FinishAll()
    {
        for (var rank = 0; rank < worldSize; rank++)
            Finish(rank);
    }

    public override void Flush()
    {
        lock (_writing)
            inner.Flush();
    }

    private void Pass()
    {
        if (_lines.WrittenCount == 0)
            return;
        inner.Write(_lines.WrittenSpan);
        _lines.ResetWrittenCount();
    }
}
