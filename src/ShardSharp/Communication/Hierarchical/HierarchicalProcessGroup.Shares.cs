using ShardSharp.Communication.Mpi;
using ShardSharp.Communication.Reductions;

namespace ShardSharp.Communication.Hierarchical;

internal sealed unsafe partial class HierarchicalProcessGroup
{
    private readonly PieceExchange _pieces;

    /// <summary>Each rank collects the contributions to its share and combines them in rank order.</summary>
    private void ReduceScatter(in CollectiveCall call)
    {
        var (input, share) = (call.Input, call.Output.Length);
        var steps = StepsOf(share);
        for (var step = 0; step <= steps; step++)
        {
            if (step < steps)
            {
                var (offset, length) = Step(share, step);
                _pieces.Begin(call, step, length, member => input.Slice((member * share) + offset, length));
            }

            if (step == 0)
                continue;
            _pieces.Complete(step - 1);
            Combine(call, step - 1);
        }
    }

    /// <summary>Each rank combines one share of the whole; the root collects the shares; what is left over is some bytes.</summary>
    private void Reduce(in CollectiveCall call)
    {
        var share = call.Input.Length / Size / Alignment * Alignment;
        var shared = share * Size;
        using var combined = new NativeBuffer(Math.Max(Alignment, share));
        var mine = new FlatBuffer(combined.Address, share);
        ReduceScatter(call with { Kind = CollectiveKind.ReduceScatter, Input = call.Input.Slice(0, shared), Output = mine });
        var (rest, isRoot) = (call.Input.Length - shared, Rank == call.Peer);
        _all.Transfer(call with { Input = call.Input.Slice(shared, rest), Output = isRoot ? call.Output.Slice(shared, rest) : default });
        GatherAtRoot(call with { Kind = CollectiveKind.Gather, Input = mine, Output = isRoot ? call.Output.Slice(0, shared) : default });
    }

    private void AllToAll(in CollectiveCall call)
    {
        var (input, share) = (call.Input, call.Input.Length / Size);
        var steps = StepsOf(share);
        for (var step = 0; step <= steps; step++)
        {
            if (step < steps)
            {
                var (offset, length) = Step(share, step);
                _pieces.Begin(call, step, length, member => input.Slice((member * share) + offset, length));
            }

            if (step == 0)
                continue;
            _pieces.Complete(step - 1);
            var (done, bytes) = Step(share, step - 1);
            for (var member = 0; member < Size; member++)
                call.Output.Write((member * share) + done, _pieces.Piece(step - 1, member), bytes);
        }
    }

    /// <summary>One rank of every host collects the shares of that host, and sends them to the root as one message a step.</summary>
    private void GatherAtRoot(in CollectiveCall call)
    {
        var (share, deputy) = (call.Input.Length, _map.DeputyOf(call.Peer, Host));
        using NativeBuffer even = new(BundleBytes), odd = new(BundleBytes);
        for (var step = 0; step < StepsOf(share); step++)
        {
            var (offset, length) = Step(share, step);
            var (transfers, bundle) = (_steps[step & 1], new FlatBuffer(((step & 1) == 0 ? even : odd).Address, length * _local.Size));
            transfers.Complete(_all.Current);
            var target = Rank == call.Peer ? SharesOn(Host, call.Output, share, offset, length) : bundle;
            _local.Perform(call with
            {
                Input = call.Input.Slice(offset, length),
                Output = Rank == deputy ? target : default,
                Peer = _map.PlaceOf(deputy),
            });
            for (var host = 0; host < _map.Hosts; host++)
            {
                if (Rank == call.Peer && host != Host)
                {
                    var arriving = SharesOn(host, call.Output, share, offset, length);
                    transfers.Receive(_map.DeputyOf(call.Peer, host), arriving, 0, arriving.Length);
                }
            }

            if (Rank == deputy && Rank != call.Peer)
                transfers.Send(call.Peer, bundle, 0, bundle.Length);
        }

        CompleteSteps();
    }

    /// <summary>The root sends the shares of every host to one rank there, as one message a step, which gives them to the others.</summary>
    private void ScatterFromRoot(in CollectiveCall call)
    {
        var (share, deputy) = (call.Output.Length, _map.DeputyOf(call.Peer, Host));
        using NativeBuffer even = new(BundleBytes), odd = new(BundleBytes);
        var steps = StepsOf(share);
        for (var step = 0; step <= steps; step++)
        {
            if (step < steps)
            {
                var (offset, length) = Step(share, step);
                for (var host = 0; host < _map.Hosts; host++)
                {
                    if (Rank == call.Peer && host != Host)
                        _steps[step & 1].Send(_map.DeputyOf(call.Peer, host), SharesOn(host, call.Input, share, offset, length), 0, length * _map.MembersOn(host).Count);
                }

                if (Rank == deputy && Rank != call.Peer)
                    _steps[step & 1].Receive(call.Peer, Bundle(step, length), 0, length * _local.Size);
            }

            if (step == 0)
                continue;
            _steps[(step - 1) & 1].Complete(_all.Current);
            var (done, bytes) = Step(share, step - 1);
            var source = Rank == call.Peer ? SharesOn(Host, call.Input, share, done, bytes) : Bundle(step - 1, bytes);
            _local.Perform(call with
            {
                Input = Rank == deputy ? source : default,
                Output = call.Output.Slice(done, bytes),
                Peer = _map.PlaceOf(deputy),
            });
        }

        FlatBuffer Bundle(int step, long length) => new(((step & 1) == 0 ? even : odd).Address, length * _local.Size);
    }

    private long BundleBytes => (long)_pieces.PieceBytes * _local.Size;

    private void Combine(in CollectiveCall call, int step)
    {
        var (done, bytes) = Step(call.Output.Length, step);
        Span<nint> sources = stackalloc nint[Size];
        foreach (var run in call.Output.Runs(done, bytes))
        {
            for (var member = 0; member < Size; member++)
                sources[member] = (nint)(_pieces.Piece(step, member) + (run.Offset - done));
            Reducer.Reduce(call.ElementType, call.Reduction, sources, run.Address, run.Length);
        }
    }

    /// <summary>One step's part of the shares that the members on a host have in a tensor of all shares.</summary>
    private FlatBuffer SharesOn(int host, FlatBuffer whole, long share, long offset, long length) =>
        whole.Join(_map.MembersOn(host).Select(member => ((member * share) + offset, length)));

    private int StepsOf(long share) => (int)((share + _pieces.PieceBytes - 1) / _pieces.PieceBytes);

    private (long Offset, long Length) Step(long share, int step)
    {
        var offset = (long)step * _pieces.PieceBytes;
        return (offset, Math.Min(_pieces.PieceBytes, share - offset));
    }
}
