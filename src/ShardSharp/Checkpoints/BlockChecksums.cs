using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ShardSharp.Checkpoints;

/// <summary>
/// Checksums of a run of bytes, one for each 64 KiB, so that whoever reads a part can check most of it: CRC-32C (RFC 3720, B.4), which
/// processors compute.
/// </summary>
internal static class BlockChecksums
{
    /// <summary>Bytes that have one checksum; the last block may be shorter.</summary>
    public const int BlockBytes = 64 * 1024;

    /// <summary>How many checksums so many bytes have.</summary>
    public static long CountOf(long bytes) => (bytes / BlockBytes) + (bytes % BlockBytes == 0 ? 0 : 1);

    /// <summary>The checksums of some blocks.</summary>
    /// <param name="bytes">Whole blocks, the last of which may be shorter.</param>
    /// <param name="checksums">Where the checksums go, one for each block.</param>
    public static void Compute(ReadOnlySpan<byte> bytes, Span<uint> checksums)
    {
        var block = 0;

        // A processor needs three cycles for eight bytes but works at several such sums at once.
        for (; bytes.Length >= 4 * BlockBytes; bytes = bytes[(4 * BlockBytes)..], block += 4)
            Four(bytes[..(4 * BlockBytes)], checksums.Slice(block, 4));
        for (; !bytes.IsEmpty; block++)
        {
            var length = Math.Min(bytes.Length, BlockBytes);
            checksums[block] = Of(bytes[..length]);
            bytes = bytes[length..];
        }
    }

    /// <summary>The checksum of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var sum = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            sum = BitOperations.Crc32C(sum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var value in bytes)
            sum = BitOperations.Crc32C(sum, value);
        return ~sum;
    }

    /// <summary>As text for an index: base64 of the checksums, little-endian.</summary>
    public static string ToText(ReadOnlySpan<uint> checksums)
    {
        var bytes = new byte[checksums.Length * sizeof(uint)];
        for (var i = 0; i < checksums.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * sizeof(uint)), checksums[i]);
        return Convert.ToBase64String(bytes);
    }

    /// <summary>Reads what <see cref="ToText"/> wrote; null for anything else.</summary>
    public static uint[]? FromText(string text)
    {
        var bytes = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, bytes, out var length) || length % sizeof(uint) != 0)
            return null;
        var checksums = new uint[length / sizeof(uint)];
        for (var i = 0; i < checksums.Length; i++)
            checksums[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(i * sizeof(uint)));
        return checksums;
    }

    // A program may load but one checkpoint: nothing waits for the runtime to find out that this loop is hot.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four(ReadOnlySpan<byte> bytes, Span<uint> checksums)
    {
        const int Words = BlockBytes / sizeof(ulong);
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        ReadOnlySpan<ulong> first = words[..Words], second = words.Slice(Words, Words);
        ReadOnlySpan<ulong> third = words.Slice(2 * Words, Words), fourth = words.Slice(3 * Words, Words);
        uint a = uint.MaxValue, b = uint.MaxValue, c = uint.MaxValue, d = uint.MaxValue;
        for (var i = 0; i < Words; i++)
        {
            a = BitOperations.Crc32C(a, first[i]);
            b = BitOperations.Crc32C(b, second[i]);
            c = BitOperations.Crc32C(c, third[i]);
            d = BitOperations.Crc32C(d, fourth[i]);
        }

        (checksums[0], checksums[1], checksums[2], checksums[3]) = (~a, ~b, ~c, ~d);
    }
}
