using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Qwen 3 (https://arxiv.org/abs/2505.09388): Llama that normalises queries and keys.</summary>
internal sealed class Qwen3Architecture : DecoderArchitecture
{
    public override string ModelType => "qwen3";

    public override string ClassName => "Qwen3ForCausalLM";

    protected override DecoderSettings ReadSettings(ConfigurationReader configuration)
    {
        var hasBias = configuration.Flag("attention_bias", false);
        var settings = DecoderSettings.Read(
            configuration, new DecoderDefaults { Vocabulary = 151936, Positions = 32768, Inner = 22016, KeyHeads = 32, HeadSize = 128 });
        return settings with
        {
            HasInputBias = hasBias,
            HasOutputBias = hasBias,
            HasQueryKeyNorm = true,
            Window = QwenWindows.Read(configuration, settings.Layers),
        };
    }
}
