using ShardSharp.HuggingFace.Architectures.Bert;
using ShardSharp.HuggingFace.Architectures.Gpt2;
using ShardSharp.HuggingFace.Architectures.GptJ;
using ShardSharp.HuggingFace.Architectures.GptNeoX;
using ShardSharp.HuggingFace.Architectures.Llama;
using ShardSharp.HuggingFace.Architectures.Mixtral;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures;

/// <summary>All kinds of models that can be loaded.</summary>
internal static class Catalog
{
    private static readonly IReadOnlyList<Architecture> All =
    [
        new Gpt2Architecture(), new GptJArchitecture(), new GptNeoXArchitecture(), new LlamaArchitecture(), new MistralArchitecture(),
        new MixtralArchitecture(), new Qwen2Architecture(), new Qwen3Architecture(), new BertArchitecture(), new RobertaArchitecture(),
    ];

    /// <summary>The kind that a configuration names.</summary>
    /// <exception cref="UnsupportedModelException">It is not among these.</exception>
    public static Architecture Find(ConfigurationReader configuration)
    {
        var type = configuration.Text("model_type") ?? "";
        var classes = configuration.Texts("architectures");
        var found = All.FirstOrDefault(architecture => architecture.ModelType == type) ?? throw configuration.Unsupported(
            "model_type", type, string.Join(", ", All.Select(architecture => architecture.ModelType)));
        return classes is null || classes.Contains(found.ClassName)
            ? found
            : throw configuration.Unsupported("architectures", string.Join(", ", classes), found.ClassName);
    }
}
