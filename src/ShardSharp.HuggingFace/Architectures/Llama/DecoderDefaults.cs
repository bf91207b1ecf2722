namespace ShardSharp.HuggingFace.Architectures.Llama;

/// <summary>The values that transformers takes where a decoder's <c>config.json</c> says nothing.</summary>
internal sealed record DecoderDefaults
{
    public int Vocabulary { get; init; } = 32000;

    public int Positions { get; init; } = 2048;

    public int Inner { get; init; } = 11008;

    /// <summary>As many as there are heads if null.</summary>
    public int? KeyHeads { get; init; }

    /// <summary>The hidden size over the number of heads if null.</summary>
    public int? HeadSize { get; init; }

    public double NormEpsilon { get; init; } = 1e-6;

    public double Theta { get; init; } = 10_000;
}
