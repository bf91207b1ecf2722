using System.Text;
using ShardSharp.Native;

namespace ShardSharp.Communication.Local;

/// <summary>Who takes part in a run on this host, who has left it, and the first failure, in memory that all ranks see.</summary>
/// <remarks>Every wait consults it, so one rank's failure reaches all the others wherever they wait.</remarks>
/// <param name="memory">Where it lies.</param>
/// <param name="size">Ranks on this host.</param>
/// <param name="ranksAreProcesses">Whether they are processes, which can die by themselves.</param>
/// <param name="globalRanks">World rank of every one, where ranks of other hosts take part in the run too; else null.</param>
/// <param name="broken">Told what broke where this rank is the first to notice, before the others hear of it and leave where they are.</param>
internal sealed unsafe class RankRoster(
    byte* memory, int size, bool ranksAreProcesses, IReadOnlyList<int>? globalRanks = null, Action<string>? broken = null) : IFailureBoard
{
    /// <summary>State of the failure while the first rank to report one writes what it is.</summary>
    public const int FailureBeingWritten = 1;

    private const int MessageOffset = 64;
    private const int MessageCapacity = 8192 - MessageOffset;
    private const int EntryBytes = 64;
    private const int NoFailure = 0;
    private const int FailureKnown = 2;

    private static readonly TimeSpan LongestReport = TimeSpan.FromSeconds(1);
    private bool _reportedFirst;

    private enum Presence
    {
        Absent,
        Present,
        Left,
    }

    private struct Header
    {
        public int FailureState;
        public int MessageLength;
    }

    private struct Entry
    {
        public long StartTicks;
        public int ProcessId;
        public int Presence;
    }

    /// <summary>Bytes of memory that a roster of so many ranks takes; the memory must be zero at first.</summary>
    public static long BytesFor(int size) => MessageOffset + MessageCapacity + ((long)EntryBytes * size);

    private Header* Failure => (Header*)memory;

    /// <summary>Enters a rank.</summary>
    public void Enter(int rank)
    {
        var entry = EntryOf(rank);
        entry->ProcessId = Environment.ProcessId;
        entry->StartTicks = ranksAreProcesses ? ProcessIdentity.Current.StartTicks : 0;
        Volatile.Write(ref entry->Presence, (int)Presence.Present);
    }

    /// <summary>Notes that a rank has finished its program and takes part in nothing any more.</summary>
    public void Leave(int rank) => Volatile.Write(ref EntryOf(rank)->Presence, (int)Presence.Left);

    /// <summary>Whether another rank than this object's was the first to report a failure.</summary>
    public bool OtherFailedFirst => !_reportedFirst && Volatile.Read(ref Failure->FailureState) != NoFailure;

    /// <summary>Tells all ranks that this one's program failed; only the first failure of the run is kept.</summary>
    public void Fail(string message)
    {
        if (IsFirstFailure())
            Tell(message);
    }

    /// <summary>Tells all ranks that communication between them broke, and has it reported; only the first failure of the run is kept.</summary>
    public void Break(string message)
    {
        if (!IsFirstFailure())
        {
            // The first one writes its report in milliseconds, unless it is killed just then.
            SpinWait.SpinUntil(() => FirstFailure is not null, LongestReport);
            return;
        }

        try
        {
            broken?.Invoke(message);
        }
        finally
        {
            Tell(message);
        }
    }

    private bool IsFirstFailure()
    {
        if (Interlocked.CompareExchange(ref Failure->FailureState, FailureBeingWritten, NoFailure) != NoFailure)
            return false;
        _reportedFirst = true;
        return true;
    }

    private void Tell(string message)
    {
        var room = new Span<byte>(memory + MessageOffset, MessageCapacity);
        Encoding.UTF8.GetEncoder().Convert(message, room, flush: true, out _, out Failure->MessageLength, out _);
        Volatile.Write(ref Failure->FailureState, FailureKnown);
    }

    /// <summary>The first failure of the run; null while all is well.</summary>
    public string? FirstFailure => Volatile.Read(ref Failure->FailureState) == FailureKnown
        ? Encoding.UTF8.GetString(memory + MessageOffset, Math.Clamp(Failure->MessageLength, 0, MessageCapacity))
        : null;

    /// <summary>Why a rank will never answer again; null while it may.</summary>
    public string? WhyGone(int globalRank)
    {
        var entry = EntryAt(globalRank);
        return (Presence)Volatile.Read(ref entry->Presence) switch
        {
            Presence.Left => "has finished its program",
            _ when HasDied(entry) => $"(process {entry->ProcessId}) has died",
            _ => null,
        };
    }

    /// <summary>A rank whose process has died before its program was finished; null if there is none.</summary>
    public int? FirstDead()
    {
        for (var rank = 0; rank < size; rank++)
        {
            if (HasDied(EntryOf(rank)))
                return globalRanks?[rank] ?? rank;
        }

        return null;
    }

    /// <summary>How the process of a rank ended before the rank had left; null if it did not.</summary>
    public string? WhyDead(int globalRank) => HasDied(EntryAt(globalRank)) ? WhyGone(globalRank) : null;

    /// <summary>Ranks that have not entered yet.</summary>
    public IEnumerable<int> Missing() => Enumerable.Range(0, size).Where(IsMissing);

    private bool HasDied(Entry* entry) => ranksAreProcesses && IsPresent(entry)
        && !new ProcessIdentity(entry->ProcessId, entry->StartTicks).IsAlive

        // It may have finished and ended since.
        && IsPresent(entry);

    private static bool IsPresent(Entry* entry) => (Presence)Volatile.Read(ref entry->Presence) == Presence.Present;

    private bool IsMissing(int rank) => (Presence)Volatile.Read(ref EntryOf(rank)->Presence) == Presence.Absent;

    private Entry* EntryAt(int globalRank) => EntryOf(globalRanks?.TakeWhile(rank => rank != globalRank).Count() ?? globalRank);

    private Entry* EntryOf(int rank) => (Entry*)(memory + MessageOffset + MessageCapacity + (rank * EntryBytes));
}
