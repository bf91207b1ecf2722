using ShardSharp.Communication;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Dropout that drops the same on all ranks, where they have the same tensor, or on each rank for itself.</summary>
internal sealed class RankedDropout(double probability, ProcessGroup group, bool alike) : nn.Module<Tensor, Tensor>(nameof(RankedDropout))
{
    /// <summary>Whether anything is dropped now.</summary>
    public bool Drops => training && probability > 0;

    public override Tensor forward(Tensor input) => Drops ? RankDropout.Drop(input, probability, group, alike) : input.alias();
}
