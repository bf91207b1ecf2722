using System.Text;
using System.Text.Unicode;

namespace ShardSharp.Communication.Local;

/// <summary>What a rank calls, and where in its program, as the other ranks can read it.</summary>
internal readonly unsafe struct PublishedSignature(byte* memory)
{
    private readonly byte* _memory = memory;

    /// <summary>Memory that one takes.</summary>
    public const int Bytes = 256;

    private const int SiteLengthOffset = 48;
    private const int SiteOffset = 52;
    private const int SiteCapacity = Bytes - SiteOffset;

    public CollectiveSignature Value => *(CollectiveSignature*)_memory;

    /// <summary>Publishes another call of the line of the program that was published before.</summary>
    public void Publish(in CollectiveSignature signature) => *(CollectiveSignature*)_memory = signature;

    public void Publish(in CollectiveSignature signature, CallSite site)
    {
        Publish(signature);
        var room = new Span<byte>(_memory + SiteOffset, SiteCapacity);
        var file = Path.GetFileName(site.File.AsSpan());
        var fits = site.Line > 0 ? Utf8.TryWrite(room, $"{file}:{site.Line}", out var written) : Utf8.TryWrite(room, $"{file}", out written);
        *(int*)(_memory + SiteLengthOffset) = fits ? written : Encoding.UTF8.GetBytes("?", room);
    }

    public void CopyTo(PublishedSignature other) => Buffer.MemoryCopy(_memory, other._memory, Bytes, Bytes);

    /// <summary>The call in words: <c>#5 all_reduce (sum) of 4 Float32 at Program.cs:12</c>.</summary>
    public override string ToString()
    {
        var site = Encoding.UTF8.GetString(_memory + SiteOffset, Math.Clamp(*(int*)(_memory + SiteLengthOffset), 0, SiteCapacity));
        return $"{Value} at {site}";
    }
}
