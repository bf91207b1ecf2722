using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>What a step computes of a microbatch.</summary>
/// <param name="Tensors">What it returns of it.</param>
/// <param name="Loss">Where backward begins; ignored in evaluation.</param>
internal readonly record struct MicrobatchResult(IReadOnlyList<Tensor> Tensors, Tensor Loss)
{
    /// <summary>A microbatch of which the loss alone is returned, or the output of an evaluation.</summary>
    public static MicrobatchResult Of(Tensor loss) => new([loss], loss);

    /// <summary>What is returned, without a graph.</summary>
    public Tensor[] Detached() => [.. Tensors.Select(tensor => tensor.detach())];
}
