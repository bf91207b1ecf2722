using System.Text.Json.Nodes;
using ShardSharp.HuggingFace.Configuration;

namespace ShardSharp.HuggingFace.Tokenizers;

/// <summary>The tokenizers of GPT-2 and RoBERTa in their older files, <c>vocab.json</c> and <c>merges.txt</c>.</summary>
internal static class Gpt2Files
{
    private const string EndOfText = "<|endoftext|>", Mask = "<mask>";

    /// <summary>RoBERTa's, of which the first begins texts and the second ends them.</summary>
    private static readonly string[] RobertaTokens = ["<s>", "</s>", "<pad>", "<unk>", Mask];

    /// <param name="vocabularyPath">The ids of tokens.</param>
    /// <param name="mergesPath">The merges, a pair a line.</param>
    /// <param name="options">The options of <c>tokenizer_config.json</c>; null where there are none.</param>
    public static TokenizerSettings Read(string vocabularyPath, string mergesPath, ConfigurationReader? options)
    {
        var vocabulary = ConfigurationReader.Parse(vocabularyPath).ToDictionary(
            token => token.Key,
            token => token.Value is JsonValue value && value.TryGetValue(out int id)
                ? id
                : throw new InvalidDataException($"{vocabularyPath}: the id of {token.Key} is no whole number."),
            StringComparer.Ordinal);
        ByteLevelSections.RequireLetters(vocabulary, problem => new InvalidDataException($"{vocabularyPath}: {problem}."));
        var merges = File.ReadLines(mergesPath).Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal)).ToList();
        var pairs = BytePairSections.Of(vocabulary, merges, ignoresMerges: false, problem => new InvalidDataException($"{mergesPath}: {problem}."));
        var isRoberta = RobertaTokens.All(vocabulary.ContainsKey);
        return new TokenizerSettings
        {
            Model = new ByteLevelModel(pairs) { AddsSpace = options?.Flag("add_prefix_space", false) ?? false },
            Added = [.. (isRoberta ? RobertaTokens : [EndOfText]).Where(vocabulary.ContainsKey)
                .Select(token => new AddedToken(token, vocabulary[token]) { TakesLeft = token == Mask })],
            Prefix = isRoberta ? [vocabulary[RobertaTokens[0]]] : [],
            Suffix = isRoberta ? [vocabulary[RobertaTokens[1]]] : [],
        };
    }
}
