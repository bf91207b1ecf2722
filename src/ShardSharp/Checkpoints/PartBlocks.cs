namespace ShardSharp.Checkpoints;

/// <summary>The bytes of one part in its file. Whatever covers a whole block is compared with the block's checksum.</summary>
/// <param name="file">The file.</param>
/// <param name="part">The part.</param>
internal sealed unsafe class PartBlocks(SafetensorsFile file, StoredPart part)
{
    private const int Block = BlockChecksums.BlockBytes;

    /// <summary>Bytes read at a time: few enough to be in the processor's cache still when their checksums are computed.</summary>
    private const int Chunk = 4 * Block;

    /// <summary>From so many bytes on, reading the whole blocks at both ends of a run adds less than a twentieth.</summary>
    private const long LongRun = 2 * 20 * Block;

    private readonly SafetensorsEntry _entry = file[part.Key];
    private byte[]? _buffer;
    private int _buffered = -1;

    /// <summary>Bytes read so far.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Reads a run of bytes.</summary>
    /// <param name="offset">The first of them in the part.</param>
    /// <param name="target">Where they go.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="CheckpointException">A block differs from what was written.</exception>
    public void Read(long offset, byte* target, long count)
    {
        // The one block of a small tensor costs nothing worth saving. Of others no more is read than was asked for, or a little.
        var checksAll = _entry.Bytes <= Block || count >= LongRun;
        for (var end = offset + count; offset < end;)
        {
            var (first, within) = ((int)(offset / Block), (int)(offset % Block));
            int length;
            if (within == 0 && BlocksUntil(end, offset) is > 0 and var whole)
                length = ReadBlocks(first, new Span<byte>(target, whole));
            else
                length = ReadPiece(first, within, target, (int)Math.Min(LengthOf(first) - within, end - offset), checksAll);
            offset += length;
            target += length;
        }
    }

    /// <summary>Reads a block and compares it with its checksum.</summary>
    /// <param name="block">Which block.</param>
    /// <param name="buffer">Where it goes; at least as long as the block.</param>
    public void ReadBlock(int block, byte[] buffer) => ReadBlocks(block, buffer.AsSpan(0, LengthOf(block)));

    private int LengthOf(int block) => (int)Math.Min(Block, _entry.Bytes - ((long)block * Block));

    /// <summary>Bytes of the whole blocks from a beginning on, a chunk of them at most.</summary>
    private int BlocksUntil(long end, long offset)
    {
        var bytes = Math.Min(end - offset, Chunk);
        return (int)(offset + bytes == _entry.Bytes ? bytes : bytes / Block * Block);
    }

    private int ReadBlocks(int first, Span<byte> target)
    {
        Load((long)first * Block, target);
        if (part.Checksums.Length == 0)
            return target.Length;
        Span<uint> checksums = stackalloc uint[Chunk / Block];
        BlockChecksums.Compute(target, checksums);
        for (var i = 0; i < BlockChecksums.CountOf(target.Length); i++)
        {
            if (checksums[i] != part.Checksums[first + i])
            {
                throw new CheckpointException(
                    file.Path, $"{part.Key} is damaged: bytes {(long)(first + i) * Block} to {((long)(first + i) * Block) + LengthOf(first + i)} of it are "
                    + "not what was written.");
            }
        }

        return target.Length;
    }

    private int ReadPiece(int block, int within, byte* target, int count, bool checks)
    {
        var piece = new Span<byte>(target, count);
        if (!checks)
        {
            Load(((long)block * Block) + within, piece);
            return count;
        }

        _buffer ??= new byte[Math.Min(Block, _entry.Bytes)];
        if (_buffered != block)
            ReadBlock(block, _buffer);
        _buffered = block;
        _buffer.AsSpan(within, count).CopyTo(piece);
        return count;
    }

    private void Load(long offset, Span<byte> target)
    {
        file.ReadBytes(_entry, offset, target);
        BytesRead += target.Length;
    }
}
