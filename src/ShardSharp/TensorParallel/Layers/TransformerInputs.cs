using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>What the layers of a transformer are called with.</summary>
internal sealed record TransformerInputs(Tensor Hidden, Tensor? Mask, Tensor? Cross, Tensor? CrossMask)
{
    /// <summary>The same as layers inside of a module get it: states as the stream, masks of the samples of all ranks.</summary>
    public TransformerInputs Entered(Regime regime)
    {
        var batch = Hidden.shape[0];
        return new TransformerInputs(
            regime.Enter(Hidden), Mask is null ? null : regime.AllSamples(Mask, batch), Cross is null ? null : regime.Enter(Cross),
            CrossMask is null ? null : regime.AllSamples(CrossMask, batch));
    }
}
