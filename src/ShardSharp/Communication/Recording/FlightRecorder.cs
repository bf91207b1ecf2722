using System.Diagnostics;
using System.Runtime.InteropServices;

namespace ShardSharp.Communication;

/// <summary>Keeps the latest 256 collectives and messages of a rank, over all its groups.</summary>
/// <remarks>
/// It always runs: a call costs a fraction of a microsecond (docs/performance.md) and no allocation. When communication fails, the rank that notices first collects all
/// ranks' records and reports where each of them is.
/// </remarks>
public sealed unsafe class FlightRecorder
{
    private readonly CallSiteNumbers _sites;
    private readonly Dictionary<long, int> _sameGroups = [];
    private FlightLog _log;
    private byte[]? _owned;
    private int _groups;

    /// <param name="memory">Where to record: memory of <see cref="FlightLog.Bytes"/> zeroed bytes that other ranks can read, in use until
    /// <see cref="Close"/>; null for memory of its own.</param>
    internal FlightRecorder(byte* memory)
    {
        _log = new FlightLog(memory is null ? Own() : memory);
        _sites = new CallSiteNumbers(FlightLog.Sites, (number, site) => _log.SetSite(number, site));
    }

    /// <summary>A recorder that other ranks cannot read.</summary>
    internal static FlightRecorder Private() => new(null);

    /// <summary>The memory it records in.</summary>
    internal FlightLog Log => _log;

    /// <summary>The calls that are kept, the oldest first; a copy.</summary>
    public IReadOnlyList<FlightEntry> Entries => _log.Read();

    /// <summary>Numbers a group; all its ranks must have joined their groups of that name in the same order.</summary>
    internal GroupRecording Open(string name, IReadOnlyList<int> globalRanks)
    {
        var identity = IdentityOf(name, globalRanks);
        var earlier = _sameGroups[identity] = _sameGroups.GetValueOrDefault(identity) + 1;
        var index = _groups == FlightLog.Groups - 1 ? 0 : ++_groups;
        if (index > 0)
            _log.SetGroup(index, name, identity + earlier);
        return new GroupRecording(this, (short)index, globalRanks);
    }

    internal RecordedCall* Begin(in RecordedCall call, CallSite site)
    {
        var number = Interlocked.Increment(ref *_log.LastNumber);
        var place = _log.Call(number);
        Volatile.Write(ref place->Number, 0);
        *place = call;
        place->Site = _sites.NumberOf(site);
        place->Started = Stopwatch.GetTimestamp();
        Volatile.Write(ref place->Number, number);
        return place;
    }

    internal void End(RecordedCall* call, FlightState state)
    {
        call->Ended = Stopwatch.GetTimestamp();
        Volatile.Write(ref call->State, (byte)state);
        GC.KeepAlive(_owned);
    }

    /// <summary>Lets go of memory that is about to vanish, and keeps what it holds; no call may be running.</summary>
    internal void Close()
    {
        if (_owned is null)
            _log = _log.CopyTo(Own());
    }

    private byte* Own()
    {
        _owned = GC.AllocateArray<byte>(FlightLog.Bytes + RecordedCall.Bytes, pinned: true);
        var address = (nuint)Marshal.UnsafeAddrOfPinnedArrayElement(_owned, 0);
        return (byte*)((address + RecordedCall.Bytes - 1) & ~(nuint)(RecordedCall.Bytes - 1));
    }

    /// <summary>The same on all ranks: FNV-1a over the name and the ranks (http://www.isthe.com/chongo/tech/comp/fnv/).</summary>
    private static long IdentityOf(string name, IReadOnlyList<int> globalRanks)
    {
        const ulong Prime = 1099511628211;
        var hash = 14695981039346656037;
        foreach (var letter in name)
            hash = (hash ^ letter) * Prime;
        foreach (var rank in globalRanks)
            hash = (hash ^ (uint)rank) * Prime;
        return (long)hash;
    }
}
