using ShardSharp.HuggingFace.Configuration;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Layers;

/// <summary>The functions between the layers of a feed-forward network, by the names transformers has for them.</summary>
internal static class Activation
{
    private static readonly Dictionary<string, Func<Tensor, Tensor>> Functions = new(StringComparer.Ordinal)
    {
        ["gelu"] = nn.functional.gelu,
        ["gelu_python"] = nn.functional.gelu,
        ["gelu_new"] = TanhGelu,
        ["gelu_fast"] = TanhGelu,
        ["gelu_accurate"] = TanhGelu,
        ["gelu_pytorch_tanh"] = TanhGelu,
        ["gelu_python_tanh"] = TanhGelu,
        ["quick_gelu"] = QuickGelu,
        ["relu"] = input => nn.functional.relu(input),
        ["silu"] = input => nn.functional.silu(input),
        ["swish"] = input => nn.functional.silu(input),
        ["tanh"] = tanh,
    };

    /// <summary>The function that a key of the configuration names.</summary>
    /// <exception cref="UnsupportedModelException">There is no such function here.</exception>
    public static Func<Tensor, Tensor> Read(ConfigurationReader configuration, string key, string fallback)
    {
        var name = configuration.Text(key) ?? fallback;
        return Functions.GetValueOrDefault(name) ?? throw configuration.Unsupported(key, name, string.Join(", ", Functions.Keys));
    }

    private static Tensor TanhGelu(Tensor input) => nn.functional.gelu(input, GELU.Approximate.tanh);

    private static Tensor QuickGelu(Tensor input)
    {
        using var scope = NewDisposeScope();
        using Scalar steepness = 1.702;
        return (input * (input * steepness).sigmoid()).MoveToOuterDisposeScope();
    }
}
