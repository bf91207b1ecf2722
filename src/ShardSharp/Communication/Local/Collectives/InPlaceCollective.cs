using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Local.Collectives;

/// <summary>A collective whose ranks reach each other's buffers, so that nothing is staged: one rank's part, between two synchronisation points.</summary>
/// <param name="rank">This rank.</param>
/// <param name="call">The call.</param>
/// <param name="windows">Address of every rank's contribution; of its result where it contributes nothing.</param>
internal readonly unsafe ref struct InPlaceCollective(int rank, CollectiveCall call, ReadOnlySpan<nint> windows)
{
    /// <summary>Reduced at a time, so that copies of the result find it in the first-level cache.</summary>
    private const int BlockBytes = 16 * 1024;

    private readonly CollectiveCall _call = call;
    private readonly ReadOnlySpan<nint> _windows = windows;

    /// <param name="sharesOutput">Whether all ranks have one output between them, so that each fills in its own share only.</param>
    public void Run(bool sharesOutput)
    {
        switch (_call.Kind)
        {
            case CollectiveKind.AllReduce:
                var (start, length) = Chunking.Slice(_call.Input.Length, rank, _windows.Length);
                Reduce(start, length, (byte*)_windows[rank] + start, everywhere: true);
                break;
            case CollectiveKind.ReduceScatter:
                _call.Output.TryGetAddress(out var share);
                Reduce(rank * _call.Output.Length, _call.Output.Length, share, everywhere: false);
                break;
            case CollectiveKind.Reduce when rank == _call.Peer:
                Reduce(0, _call.Input.Length, (byte*)_windows[rank], everywhere: false);
                break;
            case CollectiveKind.AllGather when sharesOutput:
                Copy(rank, 0, rank * _call.Input.Length, _call.Input.Length);
                break;
            case CollectiveKind.AllGather or CollectiveKind.Gather when _call.Output.Length > 0:
                for (var member = 0; member < _windows.Length; member++)
                    Copy(member, 0, member * _call.Input.Length, _call.Input.Length);
                break;
            case CollectiveKind.AllToAll:
                var part = _call.Input.Length / _windows.Length;
                for (var member = 0; member < _windows.Length; member++)
                    Copy(member, rank * part, member * part, part);
                break;
            case CollectiveKind.Scatter:
                Copy(_call.Peer, rank * _call.Output.Length, 0, _call.Output.Length);
                break;
            case CollectiveKind.Broadcast when rank != _call.Peer:
                Copy(_call.Peer, 0, 0, _call.Output.Length);
                break;
        }
    }

    /// <summary>Combines a range of all contributions, in rank order.</summary>
    /// <param name="start">Where the range begins in each.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="target">Where the result goes.</param>
    /// <param name="everywhere">Whether it also goes to the same range of everyone's buffer, whose lines are still in the cache.</param>
    private void Reduce(long start, long length, byte* target, bool everywhere)
    {
        Span<nint> sources = stackalloc nint[_windows.Length];
        for (var done = 0L; done < length; done += BlockBytes)
        {
            var block = Math.Min(BlockBytes, length - done);
            for (var member = 0; member < sources.Length; member++)
                sources[member] = _windows[member] + (nint)(start + done);
            Reducer.Reduce(_call.ElementType, _call.Reduction, sources, target + done, block);
            foreach (var source in sources)
            {
                if (everywhere && source != (nint)(target + done))
                    Buffer.MemoryCopy(target + done, (byte*)source, block, block);
            }
        }
    }

    private void Copy(int member, long from, long to, long length)
    {
        if (!_call.Output.TryGetAddress(out var output) || output + to != (byte*)_windows[member] + from)
            _call.Output.Write(to, (byte*)_windows[member] + from, length);
    }
}
