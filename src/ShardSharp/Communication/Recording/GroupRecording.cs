namespace ShardSharp.Communication;

/// <summary>Records the calls of one group of a rank.</summary>
/// <param name="recorder">The rank's recorder.</param>
/// <param name="group">Number of the group in it.</param>
/// <param name="globalRanks">World rank of every member.</param>
internal sealed unsafe class GroupRecording(FlightRecorder recorder, short group, IReadOnlyList<int> globalRanks)
{
    private readonly long[] _sent = new long[globalRanks.Count];
    private readonly long[] _received = new long[globalRanks.Count];
    private long _collectives;

    /// <summary>Notes that a call starts. Collectives of a group run one after another, and so do messages of a pair in one direction.</summary>
    public RecordedCall* Begin(in CollectiveCall call)
    {
        var isMessage = call.Kind is CollectiveKind.Send or CollectiveKind.Receive;
        ref var sequence = ref call.Kind == CollectiveKind.Send ? ref _sent[call.Peer]
            : ref call.Kind == CollectiveKind.Receive ? ref _received[call.Peer]
            : ref _collectives;
        var record = new RecordedCall
        {
            Sequence = ++sequence,
            Count = ElementTypes.CountOf(call.AgreedBytes, call.ElementType),
            Peer = call.Peer,
            PeerWorldRank = isMessage ? globalRanks[call.Peer] : 0,
            Group = group,
            Kind = (byte)call.Kind,
            Reduction = (byte)call.Reduction,
            ElementType = (sbyte)call.ElementType,
            IsBackground = call.InBackground ? (byte)1 : (byte)0,
            Shape = call.Shape,
        };
        return recorder.Begin(record, call.Site);
    }

    /// <summary>Notes how a call ended.</summary>
    public void End(RecordedCall* call, FlightState state) => recorder.End(call, state);
}
