namespace ShardSharp.Benchmarks;

/// <summary>Sizes of the benchmark model.</summary>
internal sealed record GptShape(int Vocabulary, int Sequence, int Hidden, int Heads, int Layers);
