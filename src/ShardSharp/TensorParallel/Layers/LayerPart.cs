using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>A part of a layer of a transformer that a pipeline may put on another stage than the rest: a sublayer and what it is added to.</summary>
/// <param name="compute">Computes the stream from the stream, a mask, and what a cross-attention attends to.</param>
/// <param name="uses">The children of the layer that it calls.</param>
internal sealed class LayerPart(Func<Tensor, Tensor?, Tensor?, Tensor> compute, Func<IReadOnlyList<nn.Module>> uses)
    : nn.Module<Tensor, Tensor?, Tensor?, Tensor>(nameof(LayerPart)), IModulePart
{
    public IReadOnlyList<nn.Module> Uses => uses();

    public override Tensor forward(Tensor stream, Tensor? mask, Tensor? cross)
    {
        using var scope = NewDisposeScope();
        return compute(stream, mask, cross).MoveToOuterDisposeScope();
    }
}
