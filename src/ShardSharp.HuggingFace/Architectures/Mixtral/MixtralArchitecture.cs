using ShardSharp.HuggingFace.Architectures.Llama;
using ShardSharp.HuggingFace.Configuration;
using ShardSharp.TensorParallel;
using static ShardSharp.TensorParallel.TensorParallelStyle;

namespace ShardSharp.HuggingFace.Architectures.Mixtral;

/// <summary>Mixtral (https://arxiv.org/abs/2401.04088): Mistral, where each position goes through a few of many feed-forward networks.</summary>
internal sealed class MixtralArchitecture : DecoderArchitecture
{
    public override string ModelType => "mixtral";

    public override string ClassName => "MixtralForCausalLM";

    public override IReadOnlyList<string> StoredNames(string parameter) =>
        [parameter.Replace(".mlp.", ".block_sparse_moe.", StringComparison.Ordinal)];

    protected override DecoderSettings ReadSettings(ConfigurationReader configuration)
    {
        // With router logits transformers adds a loss that balances the experts; without them its coefficient is not used.
        configuration.Require("output_router_logits", false);
        configuration.Ignore("router_aux_loss_coef");
        if (configuration.Number("router_jitter_noise", 0) is not 0 and var noise)
            throw configuration.Unsupported("router_jitter_noise", noise, "0");
        var window = configuration.CountOrNone("sliding_window", null);
        var experts = configuration.Count("num_local_experts", 8);
        var chosen = configuration.Count("num_experts_per_tok", 2);
        if (chosen > experts)
            throw configuration.Inconsistent($"num_experts_per_tok {chosen} is more than num_local_experts {experts}");
        var defaults = new DecoderDefaults { Positions = 4096 * 32, Inner = 14336, KeyHeads = 8, NormEpsilon = 1e-5, Theta = 1_000_000 };
        return DecoderSettings.Read(configuration, defaults) with
        {
            Window = _ => window,
            CreateFeedForward = (settings, factory) => new ExpertMixture(experts, chosen, settings, factory),
            FeedForwardStyles = new Dictionary<string, TensorParallelStyle>
            {
                ["gate"] = SequenceParallel(), ["experts.*.w1"] = Column(), ["experts.*.w3"] = Column(), ["experts.*.w2"] = Row(),
            },
        };
    }
}
