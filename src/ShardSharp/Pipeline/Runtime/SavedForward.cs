using ShardSharp.Activations;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What a stage keeps of a microbatch from its forward to the end of its backward, or a checkpointed region in it once it has computed again.</summary>
/// <param name="given">What the stage before sent.</param>
/// <param name="inputs">The same as leaves of the stage's graph.</param>
/// <param name="outputs">Ends of the graph.</param>
/// <param name="calls">Calls of modules with parameters, where the backward is divided.</param>
internal sealed class SavedForward(
    Parcel given, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> outputs, IReadOnlyList<CapturedCall> calls) : IDisposable
{
    private Parcel? _gradients;

    /// <summary>Calls of modules with parameters, where the backward is divided.</summary>
    public IReadOnlyList<CapturedCall> Calls => calls;

    /// <summary>Checkpointed regions that have computed again for a divided backward, those within others before these.</summary>
    public List<DividedRegion> Regions { get; } = [];

    /// <summary>Where its backward begins, once the gradients of its outputs are known.</summary>
    public BackwardStart Start => _gradients is null
        ? new BackwardStart([.. outputs], null)
        : BackwardStart.Of(outputs, _gradients.Tensors.Select(tensor => tensor.Value));

    /// <summary>Computes the gradients of the stage's parameters, which are added to theirs, and of its inputs.</summary>
    /// <param name="ofOutputs">The gradients of the outputs; null where the output is the loss. Owned from now on.</param>
    /// <returns>The gradient of each input; null for one that has none.</returns>
    public IReadOnlyList<Tensor?> Backward(Parcel? ofOutputs)
    {
        _gradients = ofOutputs;
        var start = Start;
        if (start.Any)
            autograd.backward(start.Ends, start.Gradients);
        return [.. inputs.Select(input => input.requires_grad ? input.grad : null)];
    }

    /// <summary>Computes the gradients of the inputs alone, and keeps the graph and the gradients of the outputs for those of the parameters.</summary>
    /// <inheritdoc cref="Backward"/>
    /// <param name="ofOutputs">The gradients of the outputs; null where the output is the loss. Owned from now on.</param>
    /// <param name="recomputation">What the model's checkpointed regions share.</param>
    public IReadOnlyList<Tensor?> BackwardOfInputs(Parcel? ofOutputs, Recomputation recomputation)
    {
        _gradients = ofOutputs;
        Tensor[] wanted = [.. inputs.Where(input => input.requires_grad), .. calls.SelectMany(call => call.Outputs)];
        var start = Start;
        if (wanted.Length == 0 || !start.Any)
            return [.. inputs.Select(_ => (Tensor?)null)];
        var found = new Queue<Tensor?>(start.GradientsOf(wanted, recomputation));
        Tensor?[] ofInputs = [.. inputs.Select(input => input.requires_grad ? found.Dequeue() : null)];
        foreach (var call in calls)
            call.Found(call.Outputs.Select(_ => found.Dequeue()?.DetachFromDisposeScope()).ToArray());
        return ofInputs;
    }

    /// <summary>Lets go of the graph, and with it of all activations.</summary>
    public void Dispose()
    {
        foreach (var region in Regions)
            region.Forward.Dispose();
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
}
