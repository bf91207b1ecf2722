using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Mistral (https://arxiv.org/abs/2310.06825): Llama, whose positions see only those of a window.</summary>
internal sealed class MistralArchitecture : DecoderArchitecture
{
    public override string ModelType => "mistral";

    public override string ClassName => "MistralForCausalLM";

    protected override DecoderSettings ReadSettings(ConfigurationReader configuration)
    {
        var window = configuration.CountOrNone("sliding_window", 4096);
        return DecoderSettings.Read(configuration, new DecoderDefaults { Positions = 4096 * 32, Inner = 14336, KeyHeads = 8 }) with
        {
            Window = _ => window,
        };
    }
}
