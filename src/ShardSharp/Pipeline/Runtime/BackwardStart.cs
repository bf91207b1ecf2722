using ShardSharp.Activations;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Where a backward begins.</summary>
/// <param name="Ends">Ends of a graph.</param>
/// <param name="Gradients">Their gradients; null where the end is a loss.</param>
internal sealed record BackwardStart(IList<Tensor> Ends, IList<Tensor>? Gradients)
{
    /// <summary>Those ends through which gradients flow back.</summary>
    public static BackwardStart Of(IReadOnlyList<Tensor> ends, IEnumerable<Tensor?> gradients)
    {
        var known = ends.Zip(gradients).Where(pair => pair.Second is not null && pair.First.requires_grad).ToArray();
        return new BackwardStart([.. known.Select(pair => pair.First)], [.. known.Select(pair => pair.Second!)]);
    }

    /// <summary>Whether there are any.</summary>
    public bool Any => Ends.Count > 0;

    /// <summary>Adds the gradients of parameters to theirs. The graph stays.</summary>
    public void Backward(Parameter[] parameters) => autograd.backward(Ends, Gradients, retain_graph: true, inputs: [.. parameters]);

    /// <summary>The gradients of tensors, null for those that have none. The graph stays.</summary>
    /// <param name="tensors">The tensors.</param>
    /// <param name="recomputation">What the model's checkpointed regions share.</param>
    public Tensor?[] GradientsOf(IList<Tensor> tensors, Recomputation recomputation) => recomputation.Gradients(Ends, Gradients, tensors, retainGraph: true);
}
