namespace ShardSharp.Tests.HuggingFace;

/// <summary>The folders of tiny models with what transformers computes from them: see tests/data/huggingface/README.md.</summary>
internal static class ReferenceModels
{
    /// <summary>The models that also have a training curve.</summary>
    public static TheoryData<string> WithCurve { get; } = ["gpt2", "llama"];

    public static TheoryData<string> All { get; } = ["gpt2", "llama"];

    public static string PathOf(string model) => Repository.PathOf($"tests/data/huggingface/{model}");
}
