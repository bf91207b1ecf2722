using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline;

/// <summary>One part of a model whose parts run one after another.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Modules">The modules it calls: their parameters and buffers are what a stage with this part needs.</param>
/// <param name="Run">
/// Computes it: what the part before returned (nothing for the first one) and the tensors of the microbatch give what the next part gets. The
/// last part returns the model's outputs. Side inputs, such as masks, come straight from the microbatch. A tensor that a later part needs
/// passes through those between: it is returned as it was given.
/// </param>
internal sealed record ChainPart(
    string Name, IReadOnlyList<nn.Module> Modules, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> Run)
{
    /// <summary>Modules whose own parameters and buffers it uses, though those of modules below them belong to other parts.</summary>
    public IReadOnlyList<nn.Module> Holders { get; init; } = [];

    /// <summary>The parameters that it needs, each once.</summary>
    public IEnumerable<Parameter> Parameters =>
        Modules.SelectMany(module => module.parameters()).Concat(Holders.SelectMany(holder => holder.parameters(recurse: false)))
            .Distinct<Parameter>(ReferenceEqualityComparer.Instance);

    /// <summary>The buffers that it needs, each once.</summary>
    public IEnumerable<Tensor> Buffers =>
        Modules.SelectMany(module => module.buffers()).Concat(Holders.SelectMany(holder => holder.buffers(recurse: false)))
            .Distinct<Tensor>(ReferenceEqualityComparer.Instance);
}
