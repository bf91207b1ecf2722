namespace ShardSharp.Tests.HuggingFace;

/// <summary>
/// The folders of tiny models with what transformers computes from them: those of tests/data/huggingface, and those of the folder that the
/// environment variable HUGGINGFACE_REFERENCE_MODELS names, for trying other seeds and sizes.
/// </summary>
internal static class ReferenceModels
{
    private static readonly string Committed = Repository.PathOf("tests/data/huggingface");

    /// <summary>The models that also have a training curve.</summary>
    public static TheoryData<string> WithCurve { get; } = ["gpt2", "llama", "mixtral"];

    public static TheoryData<string> All { get; } = [.. Names()];

    /// <param name="model">A name, or the path of a folder elsewhere.</param>
    public static string PathOf(string model) => Path.Combine(Committed, model);

    private static IEnumerable<string> Names()
    {
        var committed = Directory.EnumerateDirectories(Committed).Select(folder => Path.GetFileName(folder)!);
        var others = Environment.GetEnvironmentVariable("HUGGINGFACE_REFERENCE_MODELS") is { } elsewhere
            ? Directory.EnumerateDirectories(Path.GetFullPath(elsewhere))
            : [];
        return committed.Concat(others).Order(StringComparer.Ordinal);
    }
}
