using System.IO.Enumeration;
using TorchSharp.Modules;

namespace ShardSharp.HuggingFace.Adapters;

/// <summary>Chooses the linears of a model by patterns of their names.</summary>
internal static class LoraTargets
{
    /// <exception cref="ArgumentException">A pattern fits no linear, or one whose weight is the embedding's.</exception>
    public static IReadOnlyList<(string Name, Linear Linear)> Find(LanguageModel model, IReadOnlyCollection<string> patterns)
    {
        var linears = model.named_modules().Where(named => named.module is Linear).Select(named => (named.name, (Linear)named.module)).ToList();
        if (patterns.Count == 0)
        {
            var head = model.Parts[^1].modules().Append(model.Parts[^1]).ToHashSet<object>(ReferenceEqualityComparer.Instance);
            return [.. linears.Where(linear => !head.Contains(linear.Item2))];
        }

        foreach (var pattern in patterns)
        {
            if (!linears.Any(linear => Fits(pattern, linear.name)))
            {
                var names = linears.Select(linear => linear.name[(linear.name.LastIndexOf('.') + 1)..]).Distinct();
                throw new ArgumentException($"No linear of the model fits '{pattern}'. The last parts of their names: {string.Join(", ", names)}.");
            }
        }

        var chosen = linears.Where(linear => patterns.Any(pattern => Fits(pattern, linear.name))).ToList();
        var embeddings = model.modules().OfType<Embedding>().Select(embedding => embedding.get_parameter("weight")!.Handle).ToHashSet();
        return chosen.Find(linear => embeddings.Contains(linear.Item2.weight!.Handle)) is { Item2: not null } tied
            ? throw new ArgumentException($"'{tied.name}' has the embedding's weight, which an adapter cannot be merged into; leave it out of the targets.")
            : (IReadOnlyList<(string, Linear)>)chosen;
    }

    private static bool Fits(string pattern, string name) =>
        FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false)
        || FileSystemName.MatchesSimpleExpression($"*.{pattern}", name, ignoreCase: false);
}
