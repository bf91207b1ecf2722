using ShardSharp.Pipeline;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures;

/// <summary>A block of two halves, attention and a feed-forward network, between which a pipeline may cut it.</summary>
internal abstract class DivisibleBlock : nn.Module<Tensor, Tensor>, IPipelineModel
{
    private readonly PipelinePart[] _halves;

    protected DivisibleBlock(string name)
        : base(name) => _halves = [new PipelinePart(Attend, () => AttentionModules), new PipelinePart(Transform, () => TransformModules)];

    IReadOnlyList<nn.Module> IPipelineModel.PipelineParts => _halves;

    /// <summary>The modules that the first half calls.</summary>
    protected abstract IReadOnlyList<nn.Module> AttentionModules { get; }

    /// <summary>The modules that the second half calls.</summary>
    protected abstract IReadOnlyList<nn.Module> TransformModules { get; }

    public sealed override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _halves[1].call(_halves[0].call(input)).MoveToOuterDisposeScope();
    }

    /// <summary>The first half: positions learn of each other.</summary>
    /// <param name="input">What the block is given.</param>
    protected abstract Tensor Attend(Tensor input);

    /// <summary>The second half, which treats each position alone.</summary>
    /// <param name="attended">What the first half computed.</param>
    protected abstract Tensor Transform(Tensor attended);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var half in _halves)
                half.Dispose();
        }

        base.Dispose(disposing);
    }
}
