namespace ShardSharp.Native;

/// <summary>What the ranks of a communicator recognise each other by (<c>ncclUniqueId</c>): 128 bytes, passed by value.</summary>
internal unsafe struct NcclUniqueId
{
    public const int Size = 128;

    private fixed byte _bytes[Size];

    public static NcclUniqueId From(ReadOnlySpan<byte> bytes)
    {
        var id = default(NcclUniqueId);
        bytes[..Size].CopyTo(new Span<byte>(id._bytes, Size));
        return id;
    }

    public byte[] ToArray()
    {
        fixed (byte* bytes = _bytes)
            return new ReadOnlySpan<byte>(bytes, Size).ToArray();
    }
}
