using ShardSharp.Communication;
using ShardSharp.DataParallel;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Dropout that drops the same on all ranks, where they have the same tensor, or on each rank for itself.</summary>
/// <remarks>
/// Ranks may be threads that share libtorch's generator, so masks come from generators of their own. The first rank draws their seed from
/// libtorch's for all: what restores its state, as computing activations again does, gets the same masks again.
/// </remarks>
internal sealed class RankedDropout(double probability, ProcessGroup group, bool alike) : nn.Module<Tensor, Tensor>(nameof(RankedDropout))
{
    private const long Seeds = 1L << 53;

    /// <summary>Whether anything is dropped now.</summary>
    public bool Drops => training && probability > 0;

    public override Tensor forward(Tensor input)
    {
        if (!Drops)
            return input.alias();
        using var scope = NewDisposeScope();
        using Scalar kept = 1 - probability, nothing = 0;
        if (probability >= 1)
            return (input * nothing).MoveToOuterDisposeScope();
        using var generator = new Generator(Seed(), input.device);
        var mask = input.detach().empty_like().bernoulli_(1 - probability, generator).div_(kept);
        return (input * mask).MoveToOuterDisposeScope();
    }

    private ulong Seed()
    {
        // Every rank draws, so that generators of processes, which began alike, stay so.
        using var drawn = randint(Seeds, [1], ScalarType.Int64);
        Span<double> seed = [group.Rank == 0 ? drawn.item<long>() : 0];
        group.AllReduce(seed);
        var rank = alike ? 0 : (ulong)group.Rank + 1;
        return new SplitMix64((ulong)seed[0] ^ (rank << 53)).Next();
    }
}
