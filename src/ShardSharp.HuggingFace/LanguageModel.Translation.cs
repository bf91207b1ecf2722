using static TorchSharp.torch;

namespace ShardSharp.HuggingFace;

/// <content>Parameters under the names, and in the layout, that files of transformers have them in.</content>
public sealed partial class LanguageModel
{
    /// <summary>
    /// What files of transformers have of this model: other names, transposed matrices, and adapters merged into the weights. For <c>translate</c> of
    /// <see cref="Session.SaveCheckpoint"/>.
    /// </summary>
    /// <param name="state">The undivided model's parameters by their names in it.</param>
    /// <returns>Tensors of the current dispose scope, or those of <paramref name="state"/>.</returns>
    public IReadOnlyDictionary<string, Tensor> ToHuggingFace(IReadOnlyDictionary<string, Tensor> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return state
            .Select(named => (Name: named.Key, Value: Adapters is { } adapters ? adapters.AsSaved(named.Key, state) : named.Value))
            .Where(named => named.Value is not null)
            .ToDictionary(named => Architecture.StoredNames(named.Name)[0], named => Turned(named.Name, named.Value!), StringComparer.Ordinal);
    }

    /// <summary>
    /// This model's parameters, of what files of transformers have. For <c>translate</c> of <see cref="Session.ResumeFromCheckpoint"/>.
    /// </summary>
    /// <param name="state">Tensors by the names that files have for them.</param>
    /// <returns>Tensors by their names in the model, of the current dispose scope or those of <paramref name="state"/>; what belongs to no parameter
    /// keeps its name, unless it can be computed or belongs to another task.</returns>
    /// <exception cref="UnsupportedModelException">A head that is tied to the embedding differs from it.</exception>
    public IReadOnlyDictionary<string, Tensor> FromHuggingFace(IReadOnlyDictionary<string, Tensor> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var translated = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, _) in named_parameters())
        {
            if (Architecture.StoredNames(name).FirstOrDefault(state.ContainsKey) is not { } stored)
                continue;
            used.Add(stored);
            translated[name] = Turned(name, state[stored]);
        }

        foreach (var (copy, original) in Architecture.Tied.Where(pair => !used.Contains(pair.Key)))
        {
            if (state.TryGetValue(copy, out var repeated) && state.TryGetValue(original, out var value) && !AreEqual(repeated, value))
                throw new UnsupportedModelException($"{copy} differs from {original}, but tie_word_embeddings of config.json says that they are one.");
        }

        foreach (var (name, value) in state.Where(tensor => !used.Contains(tensor.Key) && !Architecture.IsNoParameter(tensor.Key)))
            translated[name] = value;
        return translated;
    }

    private static bool AreEqual(Tensor one, Tensor other)
    {
        using var scope = NewDisposeScope();
        return one.shape.SequenceEqual(other.shape) && one.eq(other).all().item<bool>();
    }

    private Tensor Turned(string parameter, Tensor value) => Architecture.IsTransposed(parameter) ? value.t() : value;
}
