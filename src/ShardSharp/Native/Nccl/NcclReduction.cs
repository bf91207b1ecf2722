namespace ShardSharp.Native;

/// <summary>How NCCL combines elements (<c>ncclRedOp_t</c>).</summary>
internal enum NcclReduction
{
    Sum = 0,
    Product = 1,
    Max = 2,
    Min = 3,
    Average = 4,
}
