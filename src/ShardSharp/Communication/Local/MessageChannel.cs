namespace ShardSharp.Communication.Local;

/// <summary>A one-way ring of slots between two ranks: the sender fills them in turn, the receiver empties them.</summary>
internal readonly unsafe struct MessageChannel(byte* memory)
{
    /// <summary>Bytes of one slot.</summary>
    public const int SlotBytes = 64 * 1024;

    /// <summary>Slots in the ring, so that one is filled while the other is emptied.</summary>
    public const int Slots = 2;

    /// <summary>Memory that a channel takes.</summary>
    public const int Bytes = HeaderBytes + (Slots * SlotStep);

    private const int HeaderBytes = 4096;
    private const int SlotStep = SlotBytes + RegionLayout.Stagger;
    private const int DigestsOffset = 8;

    /// <summary>Slots filled so far.</summary>
    public int* Filled => (int*)memory;

    /// <summary>What must be the same on both sides of the message that begins in a slot, in the cache line that the receiver waits for.</summary>
    public MessageDigest* Digest(int turn) => (MessageDigest*)(memory + DigestsOffset) + (turn & (Slots - 1));

    /// <summary>How many ranks sleep until a slot is filled.</summary>
    public int* FilledSleepers => (int*)(memory + 64);

    /// <summary>Slots emptied so far.</summary>
    public int* Emptied => (int*)(memory + 128);

    /// <summary>How many ranks sleep until a slot is emptied.</summary>
    public int* EmptiedSleepers => (int*)(memory + 192);

    /// <summary>What the sender says about the message that begins in a slot, for reports.</summary>
    public PublishedSignature Signature(int turn) => new(memory + 256 + ((turn & (Slots - 1)) * PublishedSignature.Bytes));

    public byte* Slot(int turn) => memory + HeaderBytes + ((turn & (Slots - 1)) * (long)SlotStep);
}
