using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>What a step is called with, in microbatches.</summary>
/// <param name="inputs">What the model is called with.</param>
/// <param name="labels">What else the step needs.</param>
/// <param name="microbatches">The tensors of both, cut.</param>
internal sealed class StepArguments(StructuredTensors inputs, StructuredTensors labels, Microbatches microbatches)
{
    /// <summary>Number of microbatches.</summary>
    public int Count => microbatches.Count;

    /// <summary>All microbatches: the tensors of inputs, and after them those of labels.</summary>
    public Microbatches Microbatches => microbatches;

    /// <summary>The inputs of the whole batch.</summary>
    public StructuredTensors Inputs => inputs;

    /// <summary>The labels of the whole batch.</summary>
    public StructuredTensors Labels => labels;

    /// <summary>What the model is called with.</summary>
    public IReadOnlyList<Tensor> InputsOf(int microbatch) => InputsIn(microbatches.Slice(microbatch));

    /// <summary>What the loss compares with.</summary>
    public IReadOnlyList<Tensor> LabelsOf(int microbatch) => LabelsIn(microbatches.Slice(microbatch));

    /// <summary>What the model is called with, among the tensors of a microbatch.</summary>
    public IReadOnlyList<Tensor> InputsIn(IReadOnlyList<Tensor> microbatch) => [.. microbatch.Take(inputs.Tensors.Count)];

    /// <summary>What the loss compares with, among the tensors of a microbatch.</summary>
    public IReadOnlyList<Tensor> LabelsIn(IReadOnlyList<Tensor> microbatch) => [.. microbatch.Skip(inputs.Tensors.Count)];
}
