using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Configuration;

/// <summary>Rotary position embeddings (Su et al. 2021, https://arxiv.org/abs/2104.09864) as a <c>config.json</c> asks for them.</summary>
/// <param name="Dimensions">How many dimensions of a head are rotated; the first ones.</param>
/// <param name="Theta">The base of the wavelengths.</param>
/// <param name="Scaling">How frequencies are changed for longer contexts.</param>
internal sealed record RotarySettings(int Dimensions, double Theta, RotaryScaling Scaling)
{
    /// <summary>Reads <c>rope_parameters</c> of transformers 5, or <c>rope_theta</c> and <c>rope_scaling</c> of those before.</summary>
    /// <param name="configuration">The model's configuration.</param>
    /// <param name="headSize">Dimensions of a head.</param>
    /// <param name="maximumPositions">The longest sequence of the configuration.</param>
    /// <param name="theta">The base if none is given.</param>
    /// <param name="rotatedPart">The part of a head that is rotated if none is given.</param>
    public static RotarySettings Read(
        ConfigurationReader configuration, int headSize, int maximumPositions, double theta = 10_000, double rotatedPart = 1)
    {
        theta = configuration.Number("rope_theta", theta);
        rotatedPart = configuration.Number("partial_rotary_factor", rotatedPart);

        // Where both are given, transformers takes the older one.
        var current = configuration.Section("rope_parameters");
        var section = configuration.Section("rope_scaling") ?? current;
        if (section is null)
            return new RotarySettings(Rounded(rotatedPart), theta, RotaryScaling.None);
        theta = section.Number("rope_theta", theta);
        rotatedPart = section.Number("partial_rotary_factor", rotatedPart);
        var dimensions = Rounded(rotatedPart);
        var settings = new RotarySettings(dimensions, theta, RotaryScaling.Read(section, dimensions, theta, maximumPositions));
        section.RequireAllKnown();
        return settings;

        int Rounded(double part)
        {
            var rounded = (int)(headSize * part);
            return rounded > 0 && rounded <= headSize && rounded % 2 == 0
                ? rounded
                : throw configuration.Inconsistent($"{part} of a head of {headSize} dimensions cannot be rotated in pairs");
        }
    }

    /// <summary>The angle by which each pair of dimensions turns from one position to the next [Dimensions / 2].</summary>
    public Tensor Frequencies()
    {
        using var scope = NewDisposeScope();

        // In float32 and in this order, as transformers computes them.
        var exponents = arange(0, Dimensions, 2, dtype: ScalarType.Float32) / tensor((float)Dimensions);
        return Scaling.Scale(pow(tensor((float)Theta), exponents).reciprocal()).MoveToOuterDisposeScope();
    }
}
