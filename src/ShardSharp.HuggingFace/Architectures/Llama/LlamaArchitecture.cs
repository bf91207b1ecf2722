using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Llama 2 and 3 (https://arxiv.org/abs/2307.09288, https://arxiv.org/abs/2407.21783).</summary>
internal sealed class LlamaArchitecture : DecoderArchitecture
{
    public override string ModelType => "llama";

    public override string ClassName => "LlamaForCausalLM";

    protected override DecoderSettings ReadSettings(ConfigurationReader configuration)
    {
        // The number of parts a matrix was cut into in pretraining: the product is the same.
        configuration.Ignore("pretraining_tp");
        var hasBias = configuration.Flag("attention_bias", false);
        return DecoderSettings.Read(configuration, new DecoderDefaults()) with
        {
            HasInputBias = hasBias,
            HasOutputBias = hasBias,
            HasFeedForwardBias = configuration.Flag("mlp_bias", false),
        };
    }
}
