using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What a module with parameters, or a checkpointed region, returned in a forward: where the backward of its parameters alone begins.</summary>
/// <param name="outputs">Handles of their own.</param>
/// <param name="parameters">The trained parameters.</param>
internal sealed class CapturedCall(IReadOnlyList<Tensor> outputs, IReadOnlyList<Parameter> parameters) : IDisposable
{
    private Tensor?[] _gradients = new Tensor?[outputs.Count];

    /// <summary>What it returned.</summary>
    public IReadOnlyList<Tensor> Outputs => outputs;

    /// <summary>The trained parameters.</summary>
    public IReadOnlyList<Parameter> Parameters => parameters;

    /// <summary>Whether it is a checkpointed region, rather than one module.</summary>
    public bool IsRegion { get; init; }

    /// <summary>Where the backward begins, once that of the stage's inputs has come by: outputs and their gradients.</summary>
    public BackwardStart Start => BackwardStart.Of(outputs, _gradients);

    /// <summary>Notes what the backward of the stage's inputs has found out.</summary>
    /// <param name="gradients">The gradient of each output, null for one that has none. Owned from now on.</param>
    public void Found(IEnumerable<Tensor?> gradients) => _gradients = [.. gradients];

    public void Dispose()
    {
        foreach (var tensor in outputs.Concat(_gradients))
            tensor?.Dispose();
    }
}
