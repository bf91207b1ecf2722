using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>Functions that communicate and that autograd can differentiate, for custom styles of tensor parallelism.</summary>
/// <remarks>Every rank of the group calls the same ones in the same order.</remarks>
public static class TensorParallelOperations
{
    /// <summary>The tensor itself; its gradient is summed over the ranks. For what all have alike, before computations that differ.</summary>
    /// <param name="tensor">Equal on all ranks.</param>
    /// <param name="group">The ranks.</param>
    public static Tensor CopyToRanks(this Tensor tensor, ProcessGroup group) => TensorParallel.Communication.CopyToRanks.Run(tensor, group);

    /// <summary>The sum of the ranks' tensors, which all then have alike.</summary>
    /// <param name="tensor">This rank's part of the sum, of the same shape on all ranks.</param>
    /// <param name="group">The ranks.</param>
    public static Tensor SumOverRanks(this Tensor tensor, ProcessGroup group) => TensorParallel.Communication.SumOverRanks.Run(tensor, group);

    /// <summary>All ranks' parts, side by side.</summary>
    /// <param name="part">This rank's part [.., part, ..].</param>
    /// <param name="dimension">Which dimension is divided; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="alike">Whether all ranks compute the same with the result; otherwise gradients are summed over the ranks.</param>
    /// <param name="total">Length of all parts together; null where all are as long as this one.</param>
    /// <returns>[.., total, ..]</returns>
    public static Tensor GatherAlong(this Tensor part, int dimension, ProcessGroup group, bool alike, long? total = null) =>
        TensorParallel.Communication.GatherAlong.Run(part, dimension, group, alike, total);

    /// <summary>This rank's part of a tensor that all have alike; parts differ by one in length where ranks do not divide it.</summary>
    /// <param name="whole">Equal on all ranks [.., length, ..].</param>
    /// <param name="dimension">Which dimension to divide; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>[.., part, ..]</returns>
    public static Tensor ScatterAlong(this Tensor whole, int dimension, ProcessGroup group) =>
        TensorParallel.Communication.ScatterAlong.Run(whole, dimension, group);

    /// <summary>This rank's part of the sum of the ranks' tensors.</summary>
    /// <param name="tensor">This rank's part of the sum [.., length, ..], of the same shape on all ranks.</param>
    /// <param name="dimension">Which dimension to divide; from the end if negative.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>[.., part, ..]</returns>
    public static Tensor ReduceScatterAlong(this Tensor tensor, int dimension, ProcessGroup group) =>
        TensorParallel.Communication.ReduceScatterAlong.Run(tensor, dimension, group);
}
