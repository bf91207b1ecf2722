using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>The optimizer's state as tensors by name, whole or this rank's.</content>
public partial class DistributedOptimizer
{
    /// <summary>
    /// The state of the undivided model's parameters, whole, whatever ranks have which parts of it; every rank calls it. What a step has not made yet
    /// is not there. Learning rates and other options are not in it: the program sets them, and checkpoints save them.
    /// </summary>
    /// <param name="firstRankOnly">Whether the first rank alone gets it, which saves the others the memory.</param>
    /// <returns>
    /// New CPU tensors, the caller's, by kind and the parameter's name, such as <c>exp_avg/blocks.0.weight</c>; numbers such as <c>step/blocks.0.weight</c> are
    /// float64 without dimensions. None on other ranks with <paramref name="firstRankOnly"/>.
    /// </returns>
    /// <exception cref="NotSupportedException">The optimizer's state is not that of single parameters.</exception>
    public IReadOnlyDictionary<string, Tensor> StateDict(bool firstRankOnly = false)
    {
        using var unrecorded = no_grad();
        var own = State();
        var world = _model.AllRanks;
        var tensors = TensorGathering.Gather(world, [.. own.Held()], firstRankOnly);
        var numbers = OptimizerSnapshot.Merge(world.AllGatherObject(own.Snapshot())).Numbers;
        return firstRankOnly && world.Rank != 0 ? tensors : WithNumbers(own, tensors, numbers);
    }

    /// <summary>What this rank has of the state, under the names of <see cref="StateDict"/>. The tensors are the optimizer's own; nothing is communicated.</summary>
    public IReadOnlyDictionary<string, Tensor> LocalStateDict()
    {
        var own = State();
        return WithNumbers(own, own.Held().ToDictionary(tensor => tensor.Name, tensor => tensor.Values, StringComparer.Ordinal), own.Snapshot().Numbers);
    }

    /// <summary>Takes over the state of an undivided model's parameters; every rank calls it with the same.</summary>
    /// <param name="state">Tensors as <see cref="StateDict"/> gives them. Of what is not there, the state becomes what it is before the first step.</param>
    /// <exception cref="ArgumentException">A tensor has no parameter, or another shape than it, on some rank. Then nothing has changed there.</exception>
    public void LoadStateDict(IReadOnlyDictionary<string, Tensor> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var own = State();
        var known = _model.AllRanks.AllGatherObject(own.Wanted().ToArray()).SelectMany(names => names).ToHashSet(StringComparer.Ordinal);
        if (state.Keys.FirstOrDefault(name => !known.Contains(name)) is { } unknown)
            throw new ArgumentException($"The optimizer has no state {unknown}.", nameof(state));
        if (own.Mismatch(state) is { } mismatch)
            throw new ArgumentException(mismatch, nameof(state));
        own.Load(state);
    }

    private OptimizerTensors State() => new(Inner, _model.StateOf(""), "");

    private static Dictionary<string, Tensor> WithNumbers(
        OptimizerTensors own, IReadOnlyDictionary<string, Tensor> tensors, Dictionary<string, Dictionary<string, double>> numbers)
    {
        var all = new Dictionary<string, Tensor>(tensors, StringComparer.Ordinal);
        foreach (var (number, values) in numbers)
        {
            foreach (var (parameter, value) in values)
                all[own.NameOfNumber(number, parameter)] = tensor(value, ScalarType.Float64);
        }

        return all;
    }
}
