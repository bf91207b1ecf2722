using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp;

public abstract partial class DistributedModel
{
    /// <summary>
    /// The parameters and buffers of the undivided model, whole, whatever ranks have which parts of them; every rank calls it. In mixed
    /// precision parameters are the float32 values that the optimizer updates.
    /// </summary>
    /// <param name="firstRankOnly">Whether the first rank alone gets them, which saves the others the memory.</param>
    /// <returns>New CPU tensors by their names in the model, the caller's; none on other ranks with <paramref name="firstRankOnly"/>.</returns>
    public IReadOnlyDictionary<string, Tensor> StateDict(bool firstRankOnly = false)
    {
        using var unrecorded = no_grad();
        return TensorGathering.Gather(Groups.World, [.. StateOf("").Held(BufferChoice)], firstRankOnly);
    }

    /// <summary>
    /// What this rank has: its parameters, or the pieces of them that it owns, and the buffers. The tensors are the model's own; nothing is
    /// communicated.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> LocalStateDict() =>
        StateOf("").Wanted.ToDictionary(tensor => tensor.Name, tensor => tensor.Values, StringComparer.Ordinal);

    /// <summary>Takes parameters and buffers over from those of an undivided model; every rank calls it with the same.</summary>
    /// <param name="state">Tensors by their names in the model.</param>
    /// <param name="strict">Whether every tensor of the model must be there, and none besides.</param>
    /// <exception cref="ArgumentException">A tensor is missing, unknown or of another shape, on some rank. Then nothing has changed.</exception>
    public void LoadStateDict(IReadOnlyDictionary<string, Tensor> state, bool strict = true)
    {
        ArgumentNullException.ThrowIfNull(state);
        var wanted = StateOf("").Wanted.ToList();
        var known = strict ? Groups.World.AllGatherObject(wanted.Select(tensor => tensor.Name).ToArray()).SelectMany(names => names).ToHashSet() : null;
        if (known is not null && state.Keys.FirstOrDefault(name => !known.Contains(name)) is { } unknown)
            throw new ArgumentException($"The model has no tensor {unknown}.", nameof(state));
        foreach (var tensor in wanted)
        {
            if (!state.TryGetValue(tensor.Name, out var values) && strict)
                throw new ArgumentException($"There is no tensor {tensor.Name}, which the model has.", nameof(state));
            if (values is not null && !values.shape.SequenceEqual(tensor.Part.Shape))
            {
                throw new ArgumentException(
                    $"Tensor {tensor.Name} has shape [{string.Join(", ", values.shape)}], and the model's has [{string.Join(", ", tensor.Part.Shape)}].",
                    nameof(state));
            }
        }

        using var unrecorded = no_grad();
        Update(() =>
        {
            foreach (var tensor in wanted)
            {
                if (state.TryGetValue(tensor.Name, out var values))
                    TensorSlices.Copy(values, tensor);
            }
        });
    }

    /// <summary>Has the first rank do something with the tensors of the undivided model; every rank calls it.</summary>
    /// <param name="path">What it is done to, for messages.</param>
    /// <param name="doing">What is being done, likewise.</param>
    /// <param name="action">What the first rank does; the tensors go then.</param>
    /// <exception cref="CheckpointException">It failed; all ranks throw.</exception>
    internal void OnFirstRank(string path, string doing, Action<IReadOnlyDictionary<string, Tensor>> action)
    {
        using var scope = NewDisposeScope();
        var state = StateDict(firstRankOnly: true);
        RankOutcome.Require(Groups.World, path, doing, () =>
        {
            if (Groups.World.Rank == 0)
                action(state);
        });
    }

    /// <summary>What this rank has of the model.</summary>
    /// <param name="prefix">What names are to begin with.</param>
    internal ModelState StateOf(string prefix) =>
        new(_engine.Owned, (Pipeline?.Model.Held ?? Root).named_buffers(recurse: true, include_nonpersistent: false), Layouts, prefix);

    /// <summary>Which buffers this rank saves: among ranks with the same parameters the first saves them.</summary>
    internal BufferChoice BufferChoice => Groups.ReducedData.Rank != 0 ? BufferChoice.None
        : Groups.Tensor.Rank == 0 ? BufferChoice.All
        : BufferChoice.Divided;
}
