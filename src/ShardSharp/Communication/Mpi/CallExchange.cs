namespace ShardSharp.Communication.Mpi;

/// <summary>How the ranks of a group tell each other what they call before any data moves; little data travels along.</summary>
/// <remarks>
/// Bruck's all-gather (J. Bruck et al., "Efficient algorithms for all-to-all communications in multiport message-passing systems", 1997):
/// after step k a rank knows the calls of the 2^k ranks from itself on, so ceil(log2 n) messages suffice. Blocks describe themselves and
/// are received into room for the longest, because ranks that disagree may well send different lengths.
/// </remarks>
internal sealed unsafe class CallExchange : IDisposable
{
    /// <summary>Beyond, data travels better in messages of its own that nobody passes on.</summary>
    private const int MostDataPerBlock = 8 * 1024;
    private const int MostDataInAll = 128 * 1024;

    private readonly MpiProcessGroup _group;
    private readonly int _tag;
    private readonly NativeBuffer _blocks;
    private readonly long _blockBytes;
    private long _waited;

    /// <summary>Where the block of the rank at each distance begins, and after the last one where it ends.</summary>
    private readonly long[] _starts;

    public CallExchange(MpiProcessGroup group, int tag)
    {
        (_group, _tag) = (group, tag);
        DataBytes = Math.Min(MostDataPerBlock, MostDataInAll / group.Size);
        _blockBytes = CallBlock.BytesFor(DataBytes);
        _blocks = new NativeBuffer(_blockBytes * group.Size);
        _starts = new long[group.Size + 1];
    }

    /// <summary>How much of a rank's data fits in.</summary>
    public int DataBytes { get; }

    /// <summary>This rank's block, to be filled in before <see cref="Run"/>.</summary>
    public CallBlock Mine => new(_blocks.Address);

    /// <summary>A member's block, after <see cref="Run"/>.</summary>
    public CallBlock this[int member] => At((member - _group.Rank + _group.Size) % _group.Size);

    /// <summary>Exchanges the blocks.</summary>
    public void Run()
    {
        var (size, rank) = (_group.Size, _group.Rank);
        var call = new PublishedCall(_group, Mine.Signature);
        Mine.Waited = _waited;
        _waited = 0;
        Measure(0, 1);
        for (var distance = 1; distance < size; distance *= 2)
        {
            _group.World.Disturb?.Invoke();
            var count = Math.Min(distance, size - distance);
            var (source, target) = ((rank + distance) % size, (rank - distance + size) % size);
            var (communicator, ranks) = (_group.World.Communicator, _group.GlobalRanks);
            var receiving = communicator.Receive(_blocks.Address + _starts[distance], (int)(_blockBytes * count), ranks[source], _tag);
            var sending = communicator.Send(_blocks.Address, (int)_starts[count], ranks[target], _tag);
            _waited += _group.World.Wait(ref receiving, call.WaitFor(source));
            Measure(distance, count);
            _group.World.Wait(ref sending, call.WaitFor(target));
        }

        NoteWaits();
    }

    public void Dispose() => _blocks.Dispose();

    private void NoteWaits()
    {
        Span<long> waited = stackalloc long[_group.Size];
        for (var member = 0; member < waited.Length; member++)
            waited[member] = this[member].Waited;
        _group.World.Delays.Note(_group.GlobalRanks, _group.Rank, waited);
    }

    private void Measure(int first, int count)
    {
        for (var i = first; i < first + count; i++)
        {
            if (!At(i).FitsInto(DataBytes))
                throw new CommunicationException($"What rank {_group.GlobalRanks[(_group.Rank + first) % _group.Size]} sent in group '{_group.Name}' is no call.");
            _starts[i + 1] = _starts[i] + At(i).Bytes;
        }
    }

    private CallBlock At(int distance) => new(_blocks.Address + _starts[distance]);
}
