using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>Which layers of a Qwen see a window only.</summary>
internal static class QwenWindows
{
    private const string Sliding = "sliding_attention";
    private const string Full = "full_attention";

    /// <summary>Reads the window of each layer; null for layers that see everything.</summary>
    public static Func<int, int?> Read(ConfigurationReader configuration, int layers)
    {
        var size = configuration.CountOrNone("sliding_window", 4096);
        var from = configuration.Integer("max_window_layers", 28);
        var window = configuration.Flag("use_sliding_window", false) ? size : null;
        var types = configuration.Texts("layer_types");
        if (types is null)
            return layer => layer >= from ? window : null;
        if (types.FirstOrDefault(type => type is not (Sliding or Full)) is { } unknown)
            throw configuration.Unsupported("layer_types", unknown, $"{Full}, {Sliding}");
        if (types.Count != layers)
            throw configuration.Inconsistent($"layer_types has {types.Count} entries for {layers} layers");
        if (window is null && types.Contains(Sliding))
            throw configuration.Inconsistent($"layer_types has {Sliding}, but use_sliding_window and sliding_window give no window");
        return layer => types[layer] == Sliding ? window : null;
    }
}
