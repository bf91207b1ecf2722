using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>What a module with parameters returned in a forward: where the backward of its parameters alone begins.</summary>
/// <param name="output">A handle of its own.</param>
/// <param name="parameters">The module's trained parameters.</param>
internal sealed class CapturedCall(Tensor output, IReadOnlyList<Parameter> parameters) : IDisposable
{
    /// <summary>What the module returned.</summary>
    public Tensor Output => output;

    /// <summary>The module's trained parameters.</summary>
    public IReadOnlyList<Parameter> Parameters => parameters;

    /// <summary>The gradient of the output, once the backward of the stage's inputs has come by; null if it does not.</summary>
    public Tensor? Gradient { get; set; }

    /// <summary>The gradients of the parameters, computed through this call alone.</summary>
    public IList<Tensor> Gradients() =>
        autograd.grad([output], [.. parameters], [Gradient!], retain_graph: true, allow_unused: true);

    public void Dispose()
    {
        output.Dispose();
        Gradient?.Dispose();
    }
}
