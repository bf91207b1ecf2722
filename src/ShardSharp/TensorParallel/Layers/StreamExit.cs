using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>
/// Leads the stream back to the form that tensors have outside. A module, so that all that happens between the layers of a transformer and after them
/// are calls, between which a pipeline can cut.
/// </summary>
internal sealed class StreamExit(Regime regime) : nn.Module<Tensor, Tensor>(nameof(StreamExit))
{
    public override Tensor forward(Tensor stream) => regime.Leave(stream);
}
