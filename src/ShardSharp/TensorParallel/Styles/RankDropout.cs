using ShardSharp.Communication;
using ShardSharp.DataParallel;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>Dropout that drops the same on all ranks of a group, as what all have alike needs, or on each rank for itself.</summary>
/// <remarks>
/// <para>libtorch's generator is one per process and its state follows from what was drawn before, so ranks, which may be threads, cannot rely
/// on it to agree. The first rank draws one number from it for each call, which all get and make a generator of their own of.</para>
/// <para>What restores the state of libtorch's generator to compute a part of the model again so gets the same masks.</para>
/// </remarks>
internal static class RankDropout
{
    private const long Seeds = 1L << 53;

    /// <param name="name">Name of the module in the model.</param>
    /// <param name="dropout">The module.</param>
    /// <param name="context">The ranks.</param>
    /// <param name="alike">Whether masks are the same on all ranks.</param>
    public static void Hook(string name, Dropout dropout, TensorParallelContext context, bool alike)
    {
        Tensor? input = null;

        // The module drops nothing itself: it is called with no elements.
        context.Hook(
            name,
            dropout,
            given =>
            {
                input = dropout.training && dropout.p > 0 ? (Tensor)given[0]! : null;
                return input is null ? given : [empty(0, dtype: input.dtype, device: input.device)];
            },
            returned =>
            {
                if (input is null)
                    return returned;
                ((Tensor)returned!).Dispose();
                var dropped = Drop(input, dropout.p, context.Group, alike);
                input = null;
                return dropped;
            });
    }

    /// <summary>What dropout leaves of a tensor.</summary>
    /// <param name="input">Of any shape.</param>
    /// <param name="probability">With which an element is dropped.</param>
    /// <param name="group">The ranks, all of which call this.</param>
    /// <param name="alike">Whether masks are the same on all ranks.</param>
    public static Tensor Drop(Tensor input, double probability, ProcessGroup group, bool alike)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(SeedOf(group, alike), input.device);
        using Scalar kept = 1 - probability, nothing = 0;
        if (probability >= 1)
            return (input * nothing).MoveToOuterDisposeScope();
        var mask = input.detach().empty_like().bernoulli_(1 - probability, generator).div_(kept);
        return (input * mask).MoveToOuterDisposeScope();
    }

    private static ulong SeedOf(ProcessGroup group, bool alike)
    {
        // Every rank draws, so that generators of processes, which began alike, stay so.
        using var drawn = randint(Seeds, [1], ScalarType.Int64);
        Span<double> seed = [group.Rank == 0 ? drawn.item<long>() : 0];
        group.AllReduce(seed);
        var rank = alike ? 0 : (ulong)group.Rank + 1;
        return new SplitMix64((ulong)seed[0] ^ (rank << 53)).Next();
    }
}
