using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What a stage keeps of a microbatch from its forward to the end of its backward.</summary>
/// <param name="given">What the stage before sent.</param>
/// <param name="inputs">The same as leaves of the stage's graph.</param>
/// <param name="outputs">Ends of the graph.</param>
/// <param name="calls">Calls of modules with parameters, where the backward is divided.</param>
internal sealed class SavedForward(
    Parcel given, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> outputs, IReadOnlyList<CapturedCall> calls) : IDisposable
{
    private Parcel? _gradients;

    /// <summary>Computes the gradients of the stage's parameters, which are added to theirs, and of its inputs.</summary>
    /// <param name="ofOutputs">The gradients of the outputs; null where the output is the loss.</param>
    /// <returns>The gradient of each input; null for one that has none.</returns>
    public IReadOnlyList<Tensor?> Backward(Parcel? ofOutputs)
    {
        var (ends, gradients) = Ends(ofOutputs);
        if (ends.Count > 0)
            autograd.backward(ends, gradients);
        return [.. inputs.Select(input => input.requires_grad ? input.grad : null)];
    }

    /// <summary>Computes the gradients of the inputs alone, and keeps the graph and the gradients of the outputs for those of the parameters.</summary>
    /// <inheritdoc cref="Backward"/>
    public IReadOnlyList<Tensor?> BackwardOfInputs(Parcel? ofOutputs)
    {
        _gradients = ofOutputs;
        Tensor[] wanted = [.. inputs.Where(input => input.requires_grad), .. calls.Select(call => call.Output)];
        var (ends, gradients) = Ends(ofOutputs);
        if (wanted.Length == 0 || ends.Count == 0)
            return [.. inputs.Select(_ => (Tensor?)null)];
        var found = autograd.grad(ends, wanted, gradients, retain_graph: true, allow_unused: true);
        foreach (var (call, gradient) in calls.Zip(found.Skip(wanted.Length - calls.Count)))
            call.Gradient = Defined(gradient)?.DetachFromDisposeScope();
        var next = 0;
        return [.. inputs.Select(input => input.requires_grad ? Defined(found[next++]) : null)];
    }

    /// <summary>Computes the gradients of parameters, which are added to theirs, after <see cref="BackwardOfInputs"/>.</summary>
    /// <param name="split">How the stage's backward is divided.</param>
    public void BackwardOfWeights(WeightSplit split)
    {
        var (ends, gradients) = Ends(_gradients);
        split.Backward(calls, ends, gradients);
    }

    /// <summary>Lets go of the graph, and with it of all activations.</summary>
    public void Dispose()
    {
        foreach (var call in calls)
            call.Dispose();
        foreach (var output in outputs)
            output.Dispose();
        foreach (var input in inputs)
        {
            input.grad = null;
            input.Dispose();
        }

        _gradients?.Dispose();
        given.Dispose();
    }

    /// <summary>The outputs that gradients flow back from.</summary>
    private (List<Tensor> Ends, List<Tensor>? Gradients) Ends(Parcel? ofOutputs)
    {
        if (ofOutputs is null)
            return ([.. outputs], null);
        var ends = new List<Tensor>();
        var gradients = new List<Tensor>();
        foreach (var (output, gradient) in outputs.Zip(ofOutputs.Tensors.Select(tensor => tensor.Value)))
        {
            if (gradient is null || !output.requires_grad)
                continue;
            ends.Add(output);
            gradients.Add(gradient);
        }

        return (ends, gradients);
    }

    private static Tensor? Defined(Tensor? gradient) => gradient is null || gradient.IsInvalid ? null : gradient;
}
