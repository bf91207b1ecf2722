using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Mpi;

internal sealed unsafe partial class MpiProcessGroup
{
    private const int MostStaging = 8 * 1024 * 1024;

    private readonly MpiTransfers[] _results;
    private NativeBuffer? _staging;

    /// <summary>Bytes of a slice: what one rank combines in one step.</summary>
    private int SliceBytes => Math.Min(StepBytes, MostStaging / Size / Alignment * Alignment);

    /// <summary>A cache line, which holds a whole number of elements of any type.</summary>
    private const int Alignment = 64;

    /// <summary>
    /// All-reduce, and reduce to a root: each rank collects the contributions to its slice of every chunk and sends on the result. While
    /// one chunk is combined, the contributions to the next are on their way, and so are the results of the one before.
    /// </summary>
    private void ReduceInSlices(in CollectiveCall call)
    {
        var chunks = new Slicing(call.Input.Length, SliceBytes, Size);
        for (var step = 0; step <= chunks.Count; step++)
        {
            World.Disturb?.Invoke();

            // Its slot of the staging memory is needed again.
            _results[step & 1].Complete(Current);
            if (step < chunks.Count)
                ExchangeContributions(call, chunks, step);
            if (step == 0)
                continue;
            _contributions[(step - 1) & 1].Complete(Current);
            SendOnResult(call, chunks, step - 1);
        }

        CompleteAll(_results);
    }

    private void ExchangeContributions(in CollectiveCall call, in Slicing chunks, int chunk)
    {
        var transfers = _contributions[chunk & 1];
        for (var distance = 1; distance < Size; distance++)
        {
            var (source, target) = ((Rank - distance + Size) % Size, (Rank + distance) % Size);
            var (mine, theirs) = (chunks[chunk, Rank], chunks[chunk, target]);
            transfers.Receive(source, Staged(chunk, source, mine.Length), 0, mine.Length);
            transfers.Send(target, call.Input, theirs.Start, theirs.Length);
        }
    }

    private void SendOnResult(in CollectiveCall call, in Slicing chunks, int chunk)
    {
        var (all, transfers) = (call.Kind == CollectiveKind.AllReduce, _results[chunk & 1]);
        var mine = chunks[chunk, Rank];
        var receives = all || Rank == call.Peer;
        var result = receives ? call.Output : Staged(chunk, Rank, mine.Length);
        var resultStart = receives ? mine.Start : 0;
        Combine(call, chunk, mine.Start, mine.Length, result, resultStart);
        for (var distance = 1; distance < Size; distance++)
        {
            var (source, target) = ((Rank - distance + Size) % Size, (Rank + distance) % Size);
            var theirs = chunks[chunk, source];
            if (receives)
                transfers.Receive(source, call.Output, theirs.Start, theirs.Length);
            if (all || target == call.Peer)
                transfers.Send(target, result, resultStart, mine.Length);
        }
    }

    /// <summary>Reduce-scatter: each rank collects the contributions to its share, step by step.</summary>
    private void ReduceShares(in CollectiveCall call)
    {
        var (share, slice) = (call.Output.Length, (long)SliceBytes);
        var steps = (int)((share + slice - 1) / slice);
        for (var step = 0; step <= steps; step++)
        {
            World.Disturb?.Invoke();
            if (step < steps)
            {
                var (offset, length, transfers) = (step * slice, Math.Min(slice, share - (step * slice)), _contributions[step & 1]);
                for (var distance = 1; distance < Size; distance++)
                {
                    var (source, target) = ((Rank - distance + Size) % Size, (Rank + distance) % Size);
                    transfers.Receive(source, Staged(step, source, length), 0, length);
                    transfers.Send(target, call.Input, (target * share) + offset, length);
                }
            }

            if (step == 0)
                continue;
            var done = (step - 1) * slice;
            _contributions[(step - 1) & 1].Complete(Current);
            Combine(call, step - 1, (Rank * share) + done, Math.Min(slice, share - done), call.Output, done);
        }
    }

    /// <summary>Broadcast: the root gives every other rank a slice of each chunk, and the slices go round from there.</summary>
    private void BroadcastInSlices(in CollectiveCall call)
    {
        var (isRoot, root) = (Rank == call.Peer, call.Peer);
        var buffer = isRoot ? call.Input : call.Output;
        var chunks = new Slicing(buffer.Length, SliceBytes, Size - 1);
        for (var step = 0; step <= chunks.Count; step++)
        {
            World.Disturb?.Invoke();
            _results[step & 1].Complete(Current);
            for (var distance = 1; step < chunks.Count && distance < Size; distance++)
            {
                var slice = chunks[step, distance - 1];
                var owner = (root + distance) % Size;
                if (isRoot)
                    _contributions[step & 1].Send(owner, buffer, slice.Start, slice.Length);
                else if (owner == Rank)
                    _contributions[step & 1].Receive(root, buffer, slice.Start, slice.Length);
            }

            if (step == 0)
                continue;
            _contributions[(step - 1) & 1].Complete(Current);
            for (var distance = 1; !isRoot && distance < Size; distance++)
                PassOnSlice(buffer, chunks, step - 1, root, (root + distance) % Size);
        }

        CompleteAll(_results);
    }

    private void PassOnSlice(FlatBuffer buffer, in Slicing chunks, int chunk, int root, int other)
    {
        if (other == Rank)
            return;
        var mine = chunks[chunk, ((Rank - root + Size) % Size) - 1];
        var theirs = chunks[chunk, ((other - root + Size) % Size) - 1];
        _results[chunk & 1].Receive(other, buffer, theirs.Start, theirs.Length);
        _results[chunk & 1].Send(other, buffer, mine.Start, mine.Length);
    }

    /// <summary>Combines the contributions to a range, in rank order: this rank's own from its tensor, the others' from staging memory.</summary>
    private void Combine(in CollectiveCall call, int step, long inputStart, long length, FlatBuffer result, long resultStart)
    {
        Span<nint> sources = stackalloc nint[Size];
        foreach (var input in call.Input.Runs(inputStart, length))
        {
            foreach (var output in result.Runs(input.Offset - inputStart + resultStart, input.Length))
            {
                var within = output.Offset - resultStart;
                for (var member = 0; member < Size; member++)
                    sources[member] = (nint)(StagingOf(step, member) + within);
                sources[Rank] = (nint)(input.Address + (within + inputStart - input.Offset));
                Reducer.Reduce(call.ElementType, call.Reduction, sources, output.Address, output.Length);
            }
        }
    }

    private FlatBuffer Staged(int step, int member, long length) => new(StagingOf(step, member), length);

    /// <summary>Where the contribution of a member waits to be combined; two steps take turns.</summary>
    private byte* StagingOf(int step, int member)
    {
        _staging ??= new NativeBuffer(2L * Size * SliceBytes);
        return _staging.Address + ((((step & 1) * (long)Size) + member) * SliceBytes);
    }
}
