using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>The float32 tensors that one size is timed on.</summary>
/// <param name="Whole">The full buffer, for operations in place.</param>
/// <param name="Shares">A share for each rank: the full buffer, or a little less where ranks do not divide it.</param>
/// <param name="Received">Where such shares go.</param>
/// <param name="Gathered">The result of gathering.</param>
/// <param name="Mine">What this rank contributes to it.</param>
/// <param name="Reduced">This rank's share of what is reduced.</param>
internal sealed record BenchmarkTensors(Tensor Whole, Tensor Shares, Tensor Received, Tensor Gathered, Tensor Mine, Tensor Reduced)
{
    /// <summary>Tensors of each rank's own; they are disposed with the current scope.</summary>
    public static BenchmarkTensors Private(int kib, int ranks)
    {
        var (elements, share) = Lengths(kib, ranks);
        return new(ones(elements), ones(share * ranks), zeros(share * ranks), zeros(share * ranks), ones(share), zeros(share));
    }

    /// <summary>Tensors in memory of the group. All ranks gather into the same one, where the shares are in place already.</summary>
    public static BenchmarkTensors Shared(int kib, ProcessGroup group, SharedMemory memory)
    {
        var (elements, share) = Lengths(kib, group.Size);
        var step = BytesPerRank(kib);
        Tensor View(int place, long count) => memory.View(place * step, [count], ScalarType.Float32).MoveToOuterDisposeScope();
        var gathered = View(0, share * group.Size);
        var own = group.Rank * 4;
        var tensors = new BenchmarkTensors(
            View(1 + own, elements), View(2 + own, share * group.Size), View(3 + own, share * group.Size), gathered,
            gathered.narrow(0, group.Rank * share, share), View(4 + own, share));
        tensors.Whole.fill_(1);
        tensors.Shares.fill_(1);
        tensors.Mine.fill_(1);
        return tensors;
    }

    /// <summary>Bytes of group memory that <see cref="Shared"/> needs.</summary>
    public static long SharedBytes(int kib, int ranks) => BytesPerRank(kib) * (1 + (ranks * 4L));

    private static long BytesPerRank(int kib) => kib * 1024L;

    private static (long Elements, long Share) Lengths(int kib, int ranks) => (kib * 256L, kib * 256L / ranks);
}
