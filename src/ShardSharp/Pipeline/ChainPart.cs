using static TorchSharp.torch;

namespace ShardSharp.Pipeline;

/// <summary>One part of a model whose parts run one after another.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Modules">The modules it calls: their parameters and buffers are what a stage with this part needs.</param>
/// <param name="Run">
/// Computes it: what the part before returned (nothing for the first one) and the tensors of the microbatch give what the next part gets. The
/// last part returns the model's outputs. Side inputs, such as masks, come straight from the microbatch.
/// </param>
internal sealed record ChainPart(
    string Name, IReadOnlyList<nn.Module> Modules, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> Run);
