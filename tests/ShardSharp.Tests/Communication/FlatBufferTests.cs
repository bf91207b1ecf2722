using System.Runtime.InteropServices;
using CsCheck;
using ShardSharp.Communication;

namespace ShardSharp.Tests.Communication;

/// <summary>Pieces of memory behave like the one array that they stand for.</summary>
public sealed unsafe class FlatBufferTests
{
    private static readonly Gen<(int[] Lengths, int Offset, int Count)> Ranges =
        from lengths in Gen.Int[0, 40].Array[1, 12]
        from offset in Gen.Int[0, lengths.Sum()]
        from count in Gen.Int[0, lengths.Sum() - offset]
        select (lengths, offset, count);

    [Fact]
    public void Reads_and_writes_across_pieces() => Ranges.Sample(range =>
    {
        var (lengths, offset, count) = range;
        var pieces = lengths.Select((length, piece) => Enumerable.Range(0, length).Select(i => (byte)((piece * 41) + i)).ToArray()).ToArray();
        var whole = pieces.SelectMany(piece => piece).ToArray();
        using var pinned = new Pins(pieces);
        var buffer = new FlatBuffer(pinned.Addresses(lengths));
        Assert.Equal(whole.Length, buffer.Length);

        var copy = new byte[count + 1];
        fixed (byte* address = copy)
            buffer.Read(offset, address, count);
        Assert.Equal(whole[offset..(offset + count)], copy[..count]);
        Assert.Equal(0, copy[count]);

        Array.Fill(copy, (byte)255);
        fixed (byte* address = copy)
            buffer.Write(offset, address, count);
        Array.Fill(whole, (byte)255, offset, count);
        Assert.Equal(whole, pieces.SelectMany(piece => piece));
    });

    [Fact]
    public void Runs_cover_a_range_once_and_in_order() => Ranges.Sample(range =>
    {
        var (lengths, offset, count) = range;
        var pieces = lengths.Select(length => new byte[length]).ToArray();
        using var pinned = new Pins(pieces);
        var position = (long)offset;
        foreach (var run in new FlatBuffer(pinned.Addresses(lengths)).Runs(offset, count))
        {
            Assert.Equal(position, run.Offset);
            Assert.True(run.Length > 0);
            position += run.Length;
        }

        Assert.Equal(offset + count, position);
    });

    private sealed class Pins(byte[][] pieces) : IDisposable
    {
        private readonly GCHandle[] _handles = [.. pieces.Select(piece => GCHandle.Alloc(piece, GCHandleType.Pinned))];

        public (nint, long)[] Addresses(int[] lengths) =>
            [.. _handles.Select((handle, i) => (handle.AddrOfPinnedObject(), (long)lengths[i]))];

        public void Dispose()
        {
            foreach (var handle in _handles)
                handle.Free();
        }
    }
}
