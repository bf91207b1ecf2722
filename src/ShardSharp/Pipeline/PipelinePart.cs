using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline;

/// <summary>
/// A part of what a module computes, for modules that a pipeline may cut inside, such as the two halves of a transformer's block. It holds no
/// parameters: those keep their names in the module.
/// </summary>
/// <remarks>
/// The module's <c>forward</c> calls its parts one after another and does nothing else. They are no children of it: keep them in an array, which
/// <c>RegisterComponents</c> passes over, and dispose them with the module.
/// <code>
/// _parts = [new(x => x + _attention.call(_norm1.call(x)), () => [_norm1, _attention]), new(x => x + _mlp.call(_norm2.call(x)), () => [_norm2, _mlp])];
/// </code>
/// </remarks>
public sealed class PipelinePart : nn.Module<Tensor, Tensor>, IModulePart
{
    private readonly Func<Tensor, Tensor> _compute;
    private readonly Func<IReadOnlyList<nn.Module>> _uses;

    /// <param name="compute">Computes it from what the part before returned.</param>
    /// <param name="uses">The modules that it calls, as they are at the time: others may have taken the place of those that were there at first.</param>
    public PipelinePart(Func<Tensor, Tensor> compute, Func<IReadOnlyList<nn.Module>> uses)
        : base(nameof(PipelinePart))
    {
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentNullException.ThrowIfNull(uses);
        (_compute, _uses) = (compute, uses);
    }

    IReadOnlyList<nn.Module> IModulePart.Uses => _uses();

    /// <summary>Computes it.</summary>
    /// <param name="input">What the module was given, or the part before returned.</param>
    /// <returns>What the next part is given, or the module returns.</returns>
    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _compute(input).MoveToOuterDisposeScope();
    }
}
