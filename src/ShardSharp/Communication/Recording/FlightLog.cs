using System.Text;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>The memory of one rank's flight recorder, which any rank that reaches it can read while it is written.</summary>
/// <remarks>
/// The latest calls in a ring; groups and call sites by number, so that a call is a few words. Number 0 of both stands for those that came
/// when the table was full.
/// </remarks>
/// <param name="memory">Zero at first, aligned to a cache line.</param>
internal readonly unsafe struct FlightLog(byte* memory)
{
    /// <summary>Calls that are kept; a power of two.</summary>
    public const int Capacity = 256;

    public const int Groups = 64;
    public const int Sites = 512;
    public const int Bytes = SitesOffset + (Sites * TextBytes);

    private const int HeaderBytes = 64;
    private const int TextBytes = 64;
    private const int GroupBytes = TextBytes + 64;
    private const int CallsOffset = HeaderBytes;
    private const int GroupsOffset = CallsOffset + (Capacity * RecordedCall.Bytes);
    private const int SitesOffset = GroupsOffset + (Groups * GroupBytes);

    private readonly byte* _memory = memory;

    /// <summary>How many calls have begun.</summary>
    public long* LastNumber => (long*)_memory;

    public RecordedCall* Call(long number) => (RecordedCall*)(_memory + CallsOffset + ((number & (Capacity - 1)) * RecordedCall.Bytes));

    public void SetGroup(int index, string name, long identity)
    {
        SetText(_memory + GroupsOffset + (index * GroupBytes), name);
        Volatile.Write(ref *GroupIdentity(index), identity);
    }

    public void SetSite(int index, CallSite site) => SetText(_memory + SitesOffset + (index * TextBytes), site.ToString());

    public FlightLog CopyTo(byte* memory)
    {
        Buffer.MemoryCopy(_memory, memory, Bytes, Bytes);
        return new FlightLog(memory);
    }

    /// <summary>The groups that the rank belongs to, by their identities.</summary>
    public IReadOnlySet<long> ReadGroups()
    {
        var identities = new HashSet<long>();
        for (var index = 1; index < Groups && *GroupIdentity(index) != 0; index++)
            identities.Add(*GroupIdentity(index));
        return identities;
    }

    /// <summary>The calls that are kept, the oldest first; those being overwritten at the moment are left out.</summary>
    public IReadOnlyList<FlightEntry> Read()
    {
        var last = Volatile.Read(ref *LastNumber);
        var entries = new List<FlightEntry>();
        for (var age = (int)Math.Clamp(last, 0, Capacity) - 1; age >= 0; age--)
        {
            var number = last - age;
            var place = Call(number);
            var isWhole = Volatile.Read(ref place->Number) == number;
            var call = *place;
            if (isWhole && Volatile.Read(ref place->Number) == number)
                entries.Add(Entry(call));
        }

        return entries;
    }

    private FlightEntry Entry(in RecordedCall call) => new()
    {
        Number = call.Number,
        Sequence = call.Sequence,
        Operation = call.Describe(),
        Group = call.Group is <= 0 or >= Groups ? "a further group" : Text(_memory + GroupsOffset + (call.Group * GroupBytes)),
        GroupIdentity = *GroupIdentity(call.Group is < 0 or >= Groups ? 0 : call.Group),
        Elements = call.Count,
        ElementType = (ScalarType)call.ElementType,
        Shape = call.Shape.Sizes,
        ShapeText = call.Shape.ToString(),
        CallSite = call.Site is <= 0 or >= Sites ? "an unlisted place" : Text(_memory + SitesOffset + (call.Site * TextBytes)),
        IsBackground = call.IsBackground != 0,
        State = (FlightState)call.State,
        StartTimestamp = call.Started,
        EndTimestamp = call.Ended == 0 ? null : call.Ended,
        MessagePeer = (CollectiveKind)call.Kind is CollectiveKind.Send or CollectiveKind.Receive ? call.PeerWorldRank : null,
    };

    private long* GroupIdentity(int index) => (long*)(_memory + GroupsOffset + (index * GroupBytes) + TextBytes);

    private static void SetText(byte* place, string text)
    {
        var room = new Span<byte>(place + sizeof(int), TextBytes - sizeof(int));
        Encoding.UTF8.GetEncoder().Convert(text, room, flush: true, out _, out var length, out _);
        Volatile.Write(ref *(int*)place, length);
    }

    private static string Text(byte* place) =>
        Encoding.UTF8.GetString(place + sizeof(int), Math.Clamp(Volatile.Read(ref *(int*)place), 0, TextBytes - sizeof(int)));
}
