using ShardSharp.Communication.Local;

namespace ShardSharp.Communication.Mpi;

/// <summary>A message that says what a rank calls, and carries its data too where that is little.</summary>
internal readonly unsafe struct CallBlock(byte* memory)
{
    /// <summary>Bytes before the data; blocks are aligned to cache lines, and so is their data.</summary>
    public const int HeaderBytes = PublishedSignature.Bytes + Alignment;

    private const int Alignment = 64;

    public byte* Address => memory;

    /// <summary>What the rank calls, and where.</summary>
    public PublishedSignature Signature => new(memory);

    /// <summary>Bytes of data.</summary>
    public ref long DataBytes => ref *(long*)(memory + PublishedSignature.Bytes);

    /// <summary>Stopwatch ticks that the rank waited for the others in the exchange before.</summary>
    public ref long Waited => ref *(long*)(memory + PublishedSignature.Bytes + sizeof(long));

    public byte* Data => memory + HeaderBytes;

    /// <summary>Whether it has no more data than it may have: what another rank sent is believed only then.</summary>
    public bool FitsInto(int mostDataBytes) => DataBytes >= 0 && DataBytes <= mostDataBytes;

    /// <summary>Bytes of the whole message.</summary>
    public int Bytes => BytesFor(DataBytes);

    /// <summary>Bytes of a message with so much data.</summary>
    public static int BytesFor(long dataBytes) => (int)((HeaderBytes + dataBytes + Alignment - 1) / Alignment * Alignment);
}
