using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>Logits: the products of hidden states and the vectors of an embedding, whose parameter this is. Without bias.</summary>
internal sealed class TiedHead : nn.Module<Tensor, Tensor>, IDistributedModule
{
    private readonly Regime _regime;

    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;

    public TiedHead(DistributedEmbedding embedding, Regime regime)
        : base(nameof(TiedHead))
    {
        (_regime, _weight) = (regime, embedding.Weight);
        DividedParameters = [.. embedding.DividedParameters];
        RegisterComponents();
    }

    public IEnumerable<DividedParameter> DividedParameters { get; }

    /// <param name="stream">The stream.</param>
    /// <returns>Logits [batch, sequence, vocabulary], outside.</returns>
    public override Tensor forward(Tensor stream)
    {
        using var scope = NewDisposeScope();
        var divided = _regime.DividesStream ? stream : _regime.Divide(stream);
        return _regime.SumToOutside(nn.functional.linear(divided, _weight)).MoveToOuterDisposeScope();
    }
}
