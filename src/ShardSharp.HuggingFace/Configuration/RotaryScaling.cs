using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Configuration;

/// <summary>A way to change rotary frequencies so that a model works on longer sequences than it was first trained on.</summary>
/// <param name="Scale">The new frequencies from the original ones.</param>
/// <param name="AttentionFactor">What cosines and sines are multiplied by.</param>
internal sealed record RotaryScaling(Func<Tensor, Tensor> Scale, double AttentionFactor = 1)
{
    /// <summary>Frequencies as they are.</summary>
    public static RotaryScaling None { get; } = new(frequencies => frequencies);

    /// <summary>Reads the type of scaling and its parameters.</summary>
    /// <param name="section"><c>rope_parameters</c> or <c>rope_scaling</c>.</param>
    /// <param name="dimensions">How many dimensions of a head are rotated.</param>
    /// <param name="theta">The base of the wavelengths.</param>
    /// <param name="maximumPositions">The longest sequence of the configuration.</param>
    public static RotaryScaling Read(ConfigurationReader section, int dimensions, double theta, int maximumPositions)
    {
        var older = section.Text("type");
        var type = section.Text("rope_type") ?? older ?? "default";
        return type switch
        {
            "default" => None,
            "linear" => Linear(section),
            "llama3" => Llama3(section, maximumPositions),
            "yarn" => Yarn(section, dimensions, theta, maximumPositions),
            _ => throw section.Unsupported("rope_type", type, "default, linear, llama3, yarn"),
        };
    }

    /// <summary>All positions are pressed together (https://arxiv.org/abs/2306.15595).</summary>
    private static RotaryScaling Linear(ConfigurationReader section)
    {
        var factor = section.RequiredNumber("factor");
        return new RotaryScaling(frequencies => frequencies / Number(factor));
    }

    /// <summary>
    /// Llama 3.1: long wavelengths are stretched by the factor, short ones left alone, and those between interpolated
    /// (https://arxiv.org/abs/2407.21783, section 3.4.2).
    /// </summary>
    private static RotaryScaling Llama3(ConfigurationReader section, int maximumPositions)
    {
        var factor = section.RequiredNumber("factor");
        var low = section.RequiredNumber("low_freq_factor");
        var high = section.RequiredNumber("high_freq_factor");
        var context = section.Number("original_max_position_embeddings", maximumPositions);
        return new RotaryScaling(frequencies =>
        {
            var turns = frequencies * Number(context / (2 * Math.PI));
            var kept = ((turns - Number(low)) / Number(high - low)).clamp(Number(0), Number(1));
            return Mixed(frequencies / Number(factor), frequencies, kept);
        });
    }

    /// <summary>
    /// YaRN: as Llama 3.1, but interpolated over the dimensions rather than the wavelengths, and attention is sharpened
    /// (https://arxiv.org/abs/2309.00071).
    /// </summary>
    private static RotaryScaling Yarn(ConfigurationReader section, int dimensions, double theta, int maximumPositions)
    {
        var context = section.Number("original_max_position_embeddings", maximumPositions);
        var factor = section.OptionalNumber("factor") ?? maximumPositions / context;
        var scale = section.OptionalNumber("mscale") ?? 0;
        var scaleOfAll = section.OptionalNumber("mscale_all_dim") ?? 0;
        var sharpening = section.OptionalNumber("attention_factor")
            ?? (scale != 0 && scaleOfAll != 0 ? Sharpening(scale) / Sharpening(scaleOfAll) : Sharpening(1));

        // The dimensions between which frequencies are interpolated, from the number of turns they make in the original context.
        double from = Dimension(NumberOr("beta_fast", 32)), to = Dimension(NumberOr("beta_slow", 1));
        if (section.Flag("truncate", true))
            (from, to) = (Math.Floor(from), Math.Ceiling(to));
        (from, to) = (Math.Max(from, 0), Math.Min(to, dimensions - 1));
        if (from == to)
            to += 0.001;
        return new RotaryScaling(
            frequencies =>
            {
                var index = arange(dimensions / 2, dtype: ScalarType.Float32);
                var stretched = ((index - Number(from)) / Number(to - from)).clamp(Number(0), Number(1));
                return Mixed(frequencies, frequencies / Number(factor), stretched);
            },
            sharpening);

        double Sharpening(double weight) => factor <= 1 ? 1 : (0.1 * weight * Math.Log(factor)) + 1;

        double Dimension(double turns) => dimensions * Math.Log(context / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));

        double NumberOr(string key, double fallback) => section.OptionalNumber(key) is { } value and not 0 ? value : fallback;
    }

    private static Tensor Mixed(Tensor ofNone, Tensor ofAll, Tensor part) => (ofNone * (Number(1) - part)) + (ofAll * part);

    /// <summary>Tensors rather than scalars, which a garbage collection may free while libtorch reads them.</summary>
    private static Tensor Number(double value) => tensor((float)value);
}
