namespace ShardSharp.Communication;

/// <summary>How a reduction combines the elements that the ranks of a group contribute.</summary>
/// <remarks>
/// Elements are combined in rank order, <c>((r0 + r1) + r2) + ...</c>, whatever the order of arrival, so a reduction gives the same bits on
/// every rank, in every run and on every backend that runs on one host. float16 and bfloat16 accumulate in float32 and round once.
/// A GPU's tensors that NCCL reduces are combined in its order, and its maximum and minimum may drop NaN.
/// </remarks>
public enum ReduceOperation
{
    /// <summary>The sum of all contributions.</summary>
    Sum,

    /// <summary>The sum divided by the number of ranks; for floating-point and complex elements.</summary>
    Mean,

    /// <summary>The largest contribution; NaN if any is NaN. Logical or of bool elements.</summary>
    Max,

    /// <summary>The smallest contribution; NaN if any is NaN. Logical and of bool elements.</summary>
    Min,

    /// <summary>The product of all contributions. Logical and of bool elements.</summary>
    Product,
}
