using ShardSharp.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>What a step is called with, in microbatches.</summary>
/// <param name="batch">The inputs, and after them the labels.</param>
/// <param name="inputs">How many of the tensors are inputs.</param>
internal sealed class PipelineArguments(Microbatches batch, int inputs)
{
    /// <summary>Number of microbatches.</summary>
    public int Count => batch.Count;

    /// <summary>All microbatches.</summary>
    public Microbatches Batch => batch;

    /// <summary>What the model is called with.</summary>
    public IReadOnlyList<Tensor> Inputs(int microbatch) => [.. batch.Slice(microbatch).Take(inputs)];

    /// <summary>What the loss compares with.</summary>
    public IReadOnlyList<Tensor> Labels(int microbatch) => [.. batch.Slice(microbatch).Skip(inputs)];
}
