namespace ShardSharp.Communication.Local;

/// <summary>Where things lie in the memory of one group.</summary>
/// <remarks>
/// One block per member with its progress, its latest calls and the places of their buffers, one channel per ordered pair for messages, and per
/// member two slots to publish contributions in and two for results. Pages that are never used are never allocated.
/// </remarks>
/// <param name="address">First byte of the group's memory.</param>
/// <param name="size">Ranks in the group.</param>
internal readonly unsafe struct RegionLayout(byte* address, int size)
{
    /// <summary>Bytes of one staging slot: half of a typical second-level cache, so that what is published is still there to be read.</summary>
    public const int SlotBytes = 512 * 1024;

    /// <summary>Bytes of a member's slots together.</summary>
    public const int SlotBytesPerMember = SlotsPerMember * SlotStep;

    /// <summary>
    /// What lies between slots, so that equal places of two never have the same address within a page: processors take such a read
    /// for one of what was just written, and wait.
    /// </summary>
    public const int Stagger = 17 * 64;

    private const int MemberBytes = 1024;
    private const int SleepersOffset = 64;
    private const int SignaturesOffset = 128;
    private const int PlacesOffset = SignaturesOffset + (2 * PublishedSignature.Bytes);
    private const int DigestsOffset = 8;
    private const int DigestBytes = 16;
    private const int SlotsPerMember = 4;
    private const int SlotStep = SlotBytes + Stagger;

    public static long BytesFor(int size) =>
        ((long)size * MemberBytes) + ((long)size * size * MessageChannel.Bytes) + ((long)size * SlotBytesPerMember);

    /// <summary>How many synchronisation points a member has reached.</summary>
    public int* Progress(int member) => (int*)Member(member);

    /// <summary>How many ranks sleep until a member's progress changes.</summary>
    public int* Sleepers(int member) => (int*)(Member(member) + SleepersOffset);

    /// <summary>What a member calls; two take turns, so that one can be read while the next is written.</summary>
    public PublishedSignature Signature(int member, long sequence) =>
        new(Member(member) + SignaturesOffset + ((sequence & 1) * PublishedSignature.Bytes));

    /// <summary>The same in short, in the cache line of the progress, which everyone reads anyway.</summary>
    public CallDigest* Digest(int member, long sequence) => (CallDigest*)(Member(member) + DigestsOffset + ((sequence & 1) * DigestBytes));

    /// <summary>Where the buffers of such a call are, if it proposes to use them in place.</summary>
    public BufferPlaces* Places(int member, long sequence) =>
        (BufferPlaces*)(Member(member) + PlacesOffset + ((sequence & 1) * (long)sizeof(BufferPlaces)));

    /// <summary>The channel from one member to another.</summary>
    public MessageChannel Channel(int from, int to) =>
        new(address + ((long)size * MemberBytes) + ((((long)from * size) + to) * MessageChannel.Bytes));

    /// <summary>Where a member publishes what it contributes.</summary>
    public byte* Contribution(int member, int turn) => Slot(member, turn & 1);

    /// <summary>Where a member leaves the part of a result that it computed.</summary>
    public byte* Result(int member, int turn) => Slot(member, 2 + (turn & 1));

    private byte* Member(int member) => address + ((long)member * MemberBytes);

    private byte* Slot(int member, int slot) =>
        address + ((long)size * MemberBytes) + ((long)size * size * MessageChannel.Bytes)
        + ((((long)member * SlotsPerMember) + slot) * SlotStep);
}
