using ShardSharp.HuggingFace.Architectures.Llama;
using ShardSharp.HuggingFace.Layers;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Architectures.Mixtral;

/// <summary>
/// Several feed-forward networks, of which each position takes the few that a router prefers. All of them run for all positions here, and
/// those not taken count nothing: exact, but as slow as if each position took all.
/// </summary>
internal sealed class ExpertMixture : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "gate")]
    private readonly Linear _router;

    [ComponentName(Name = "experts")]
    private readonly ModuleList<Expert> _experts;

    private readonly int _chosen;

    /// <param name="experts">How many networks there are.</param>
    /// <param name="chosen">How many each position takes.</param>
    /// <param name="settings">The shape of the model.</param>
    /// <param name="factory">Makes the layers.</param>
    public ExpertMixture(int experts, int chosen, DecoderSettings settings, ModuleFactory factory)
        : base(nameof(ExpertMixture))
    {
        _chosen = chosen;
        _router = factory.Linear(settings.Hidden, experts, bias: false);
        _experts = new ModuleList<Expert>([.. Enumerable.Range(0, experts).Select(_ => new Expert(settings, factory))]);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var weights = Weights(_router.call(input));
        var mixed = zeros_like(input);
        for (var i = 0; i < _experts.Count; i++)
            mixed = mixed + (_experts[i].call(input) * weights.narrow(2, i, 1)).to_type(input.dtype);
        return mixed.MoveToOuterDisposeScope();
    }

    /// <summary>What each expert counts at each position: the probabilities of those chosen, scaled to a sum of one [.., experts].</summary>
    private Tensor Weights(Tensor logits)
    {
        var probabilities = nn.functional.softmax(logits, -1, ScalarType.Float32);
        var (best, indices) = probabilities.topk(_chosen, -1);
        return zeros_like(probabilities).scatter(-1, indices, best / best.sum(-1, keepdim: true));
    }
}
