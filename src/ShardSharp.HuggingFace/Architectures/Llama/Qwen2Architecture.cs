using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Qwen 2 and 2.5 (https://arxiv.org/abs/2407.10671): Llama with biases before attention.</summary>
internal sealed class Qwen2Architecture : DecoderArchitecture
{
    public override string ModelType => "qwen2";

    public override string ClassName => "Qwen2ForCausalLM";

    protected override DecoderSettings ReadSettings(ConfigurationReader configuration)
    {
        var settings = DecoderSettings.Read(
            configuration, new DecoderDefaults { Vocabulary = 151936, Positions = 32768, Inner = 22016, KeyHeads = 32 });
        return settings with { HasInputBias = true, Window = QwenWindows.Read(configuration, settings.Layers) };
    }
}
