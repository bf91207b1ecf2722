using ShardSharp.Communication;
using ShardSharp.TensorParallel.Communication;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>How activations move between the forms in which ranks hold them.</summary>
/// <remarks>
/// <para>Three forms. <em>Outside</em> of distributed modules a rank has its samples with all features [batch, .., hidden]; they are the same
/// on all ranks if batches are prescaled. <em>Divided</em>, a rank has some features of the samples of all ranks [all, .., hidden / ranks].
/// Between the parts of a transformer it is the <em>stream</em>: divided to save memory, and as outside for speed.</para>
/// <para>Where ranks have samples of their own, the gradients of divided parameters are those of the mean over the ranks of their losses:
/// each rank's gradient is divided by the number of ranks on its way in, and what goes back out to a rank's own samples multiplied again.</para>
/// </remarks>
internal sealed class Regime(TensorRanks ranks)
{
    public ProcessGroup Group => ranks.Group;

    public TensorRanks Ranks => ranks;

    /// <summary>Whether the ranks have different samples outside.</summary>
    public bool HasOwnSamples { get; } = !ranks.PrescaledBatch && ranks.Size > 1;

    /// <summary>Whether the stream is divided.</summary>
    public bool DividesStream { get; } = ranks.Optimize == OptimizationGoal.Memory && ranks.Size > 1;

    /// <summary>Whether all ranks have the same stream.</summary>
    public bool HasSameStream => !HasOwnSamples && !DividesStream;

    /// <summary>From outside to the stream.</summary>
    public Tensor Enter(Tensor outside) => DividesStream ? Divide(outside) : outside.alias();

    /// <summary>From the stream to outside.</summary>
    public Tensor Leave(Tensor stream) => DividesStream ? Undivide(stream) : stream.alias();

    /// <summary>From outside to divided.</summary>
    public Tensor Divide(Tensor outside)
    {
        if (!HasOwnSamples)
            return ScatterAlong.Run(outside, -1, Group);
        using var own = ScaledGradient.Run(outside, Group.Size);
        return ExchangeAlong.Run(own, -1, 0, Group);
    }

    /// <summary>From divided to outside.</summary>
    public Tensor Undivide(Tensor divided)
    {
        if (!HasOwnSamples)
            return GatherAlong.Run(divided, -1, Group, alike: true);
        using var own = ExchangeAlong.Run(divided, 0, -1, Group);
        return ScaledGradient.Run(own, 1.0 / Group.Size);
    }

    /// <summary>From the stream to what a product with this rank's part of a weight takes: all features, unless the stream is divided.</summary>
    public Tensor ToProducts(Tensor stream)
    {
        if (DividesStream)
            return stream.alias();
        if (!HasOwnSamples)
            return CopyToRanks.Run(stream, Group);
        using var own = ScaledGradient.Run(stream, Group.Size);
        return GatherAlong.Run(own, 0, Group, alike: false);
    }

    /// <summary>From this rank's part of a sum, of all features and the samples of all ranks, to the stream.</summary>
    public Tensor SumToStream(Tensor part) => DividesStream ? ReduceScatterAlong.Run(part, -1, Group) : SumToOutside(part);

    /// <summary>From this rank's part of a sum, of all features and the samples of all ranks, to outside.</summary>
    public Tensor SumToOutside(Tensor part)
    {
        if (!HasOwnSamples)
            return SumOverRanks.Run(part, Group);
        using var own = ReduceScatterAlong.Run(part, 0, Group);
        return ScaledGradient.Run(own, 1.0 / Group.Size);
    }

    /// <summary>The samples of all ranks of something that is not trained, such as tokens or a mask; as given where all have the same.</summary>
    /// <param name="outside">[batch, ..]; a mask may have one in place of the batch.</param>
    /// <param name="batch">Number of this rank's samples.</param>
    public Tensor AllSamples(Tensor outside, long batch)
    {
        if (!HasOwnSamples)
            return outside.alias();
        using var own = outside.shape[0] == batch ? outside.detach() : outside.detach().expand([batch, .. outside.shape.Skip(1)]);
        return AlongDimension.Gather(own, 0, Group, batch * Group.Size);
    }
}
