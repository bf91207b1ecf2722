using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What is computed in a step, beside the stages of the model.</summary>
internal interface IPipelineStep
{
    /// <summary>The tensors of a microbatch that the model is called with.</summary>
    IReadOnlyList<Tensor> Inputs(int microbatch);

    /// <summary>Ends a forward, on the rank with the last stage.</summary>
    /// <param name="microbatch">The microbatch.</param>
    /// <param name="outputs">What the model returned.</param>
    /// <returns>Where backward begins; null where there is none.</returns>
    Tensor? End(int microbatch, IReadOnlyList<Tensor> outputs);

    /// <summary>Called directly before gradients of parameters are computed.</summary>
    /// <param name="isLast">Whether this rank computes none after these.</param>
    void BeforeGradients(bool isLast);

    /// <summary>Called after gradients of parameters were computed, and those of inputs sent.</summary>
    /// <param name="isLast">As in <see cref="BeforeGradients"/>.</param>
    void AfterGradients(bool isLast);
}
