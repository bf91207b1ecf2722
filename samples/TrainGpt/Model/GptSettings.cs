namespace TrainGpt.Model;

/// <summary>The shape of a <see cref="Gpt"/>.</summary>
/// <param name="Vocabulary">Number of tokens.</param>
/// <param name="Sequence">Longest sequence in tokens.</param>
/// <param name="Hidden">Width of the residual stream; a multiple of <paramref name="Heads"/>.</param>
/// <param name="Layers">Number of transformer blocks.</param>
/// <param name="Heads">Attention heads in each block.</param>
public sealed record GptSettings(int Vocabulary, int Sequence, int Hidden, int Layers, int Heads);
