using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>Collectives on parts of a tensor that lie side by side along one of its dimensions. None is recorded by autograd.</summary>
/// <remarks>Parts may differ by one in length (<see cref="Division"/>); what is communicated is filled up to the longest then.</remarks>
internal static class AlongDimension
{
    /// <summary>The sum over all ranks, in rank order; the given tensor keeps its values.</summary>
    /// <param name="tensor">Of the same shape on every rank.</param>
    /// <param name="group">The ranks.</param>
    public static Tensor Sum(Tensor tensor, ProcessGroup group)
    {
        var sum = tensor.detach().clone();
        group.AllReduce(sum);
        return sum;
    }

    /// <summary>This rank's part of a tensor, in memory of its own.</summary>
    /// <param name="whole">[.., length, ..]</param>
    /// <param name="dimension">Which dimension is divided, from 0.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>[.., part, ..]</returns>
    public static Tensor Part(Tensor whole, int dimension, ProcessGroup group)
    {
        var range = new Division(whole.shape[dimension], group.Size)[group.Rank];
        using var scope = NewDisposeScope();
        return whole.detach().narrow(dimension, range.Start, range.Length).clone().contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>All ranks' parts, side by side in rank order.</summary>
    /// <param name="part">[.., part, ..]</param>
    /// <param name="dimension">Which dimension is divided, from 0.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="total">Length of all parts together.</param>
    /// <returns>[.., total, ..]</returns>
    public static Tensor Gather(Tensor part, int dimension, ProcessGroup group, long total)
    {
        using var scope = NewDisposeScope();
        var division = new Division(total, group.Size);
        if (part.shape[dimension] != division[group.Rank].Length)
        {
            throw new ArgumentException(
                $"Rank {group.Rank} of {group.Size} has {part.shape[dimension]} of {total} indices of dimension {dimension}; its part is "
                + $"{division[group.Rank].Length}.", nameof(part));
        }

        var filled = Filled(part, dimension, division.Longest).contiguous();
        var gathered = empty([group.Size, .. filled.shape], part.dtype, part.device);
        group.AllGather(gathered, filled);
        if (division.IsEven && part.shape.Take(dimension).All(length => length == 1))
            return gathered.reshape(WithLength(part.shape, dimension, total)).MoveToOuterDisposeScope();
        var parts = gathered.unbind(0).Select((each, rank) => each.narrow(dimension, 0, division[rank].Length)).ToArray();
        return cat(parts, dimension).MoveToOuterDisposeScope();
    }

    /// <summary>This rank's part of the sum over all ranks, in rank order.</summary>
    /// <param name="whole">[.., length, ..], of the same shape on every rank.</param>
    /// <param name="dimension">Which dimension is divided, from 0.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>[.., part, ..]</returns>
    public static Tensor ReduceScatter(Tensor whole, int dimension, ProcessGroup group)
    {
        using var scope = NewDisposeScope();
        var division = new Division(whole.shape[dimension], group.Size);
        var sum = empty(WithLength(whole.shape, dimension, division.Longest), whole.dtype, whole.device);
        var given = whole.detach();
        if (!division.IsEven || given.shape.Take(dimension).Any(length => length != 1))
        {
            given = stack(Enumerable.Range(0, group.Size).Select(rank =>
                Filled(given.narrow(dimension, division[rank].Start, division[rank].Length), dimension, division.Longest)));
        }

        group.ReduceScatter(sum, given.contiguous());
        return sum.narrow(dimension, 0, division[group.Rank].Length).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>What the ranks hold divided along one dimension, divided along another.</summary>
    /// <param name="tensor">This rank's part, of the same shape on every rank.</param>
    /// <param name="scattered">The dimension that the result is divided along, from 0; the ranks divide it.</param>
    /// <param name="gathered">The dimension that is whole in the result, from 0.</param>
    /// <param name="group">The ranks.</param>
    public static Tensor Exchange(Tensor tensor, int scattered, int gathered, ProcessGroup group)
    {
        using var scope = NewDisposeScope();
        var sent = stack(tensor.detach().chunk(group.Size, scattered));
        var received = empty_like(sent);
        group.AllToAll(received, sent);
        return cat(received.unbind(0), gathered).MoveToOuterDisposeScope();
    }

    /// <summary>A dimension's number from 0, where it may be given from the end.</summary>
    public static int Normalized(Tensor tensor, int dimension) => (int)(dimension < 0 ? dimension + tensor.dim() : dimension);

    private static Tensor Filled(Tensor part, int dimension, long length)
    {
        var missing = length - part.shape[dimension];
        return missing == 0 ? part : cat([part, zeros(WithLength(part.shape, dimension, missing), part.dtype, part.device)], dimension);
    }

    private static long[] WithLength(IReadOnlyList<long> shape, int dimension, long length) =>
        [.. shape.Take(dimension), length, .. shape.Skip(dimension + 1)];
}
