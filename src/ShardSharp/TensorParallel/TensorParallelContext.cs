using System.Runtime.InteropServices;
using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>What the divided layers of one model on one rank share.</summary>
/// <param name="group">Ranks that share each layer.</param>
/// <param name="sequenceParallel">Whether what lies between pairs of divided layers is divided along the sequence.</param>
/// <param name="keepsLogitsDivided">Whether layers whose output would be gathered leave it divided.</param>
/// <param name="releasesOutputs">Whether outputs of modules with styles are disposed when the module that called them returns.</param>
internal sealed class TensorParallelContext(ProcessGroup group, bool sequenceParallel, bool keepsLogitsDivided = false, bool releasesOutputs = false) : IDisposable
{
    /// <summary>Tensors are [.., sequence, features] between divided layers.</summary>
    public const int SequenceDimension = -2;

    private readonly Dictionary<nint, ParameterLayout> _divided = [];
    private readonly List<(Parameter Parameter, ParameterLayout Layout)> _parameters = [];
    private readonly Dictionary<int, ProcessGroup> _copies = [];
    private readonly List<IDisposable> _hooks = [];
    private readonly List<Func<IDisposable>> _registrations = [];
    private readonly SharedInput _input = new();
    private OutputRelease? _outputs;

    public ProcessGroup Group => group;

    public bool SequenceParallel => sequenceParallel;

    /// <summary>What this rank holds of each parameter.</summary>
    public ParameterLayouts Layouts { get; } = new();

    /// <summary>The styles that were applied, by names of modules.</summary>
    public IReadOnlyDictionary<string, TensorParallelStyle> Styles { get; set; } = new Dictionary<string, TensorParallelStyle>();

    /// <summary>Whether layers whose output would be gathered leave it divided.</summary>
    public bool KeepsLogitsDivided => keepsLogitsDivided;

    /// <summary>Features of the output that a layer left divided; null where none did.</summary>
    public long? DividedLogits { get; set; }

    /// <summary>The divided parameters, each once.</summary>
    public IReadOnlyList<(Parameter Parameter, ParameterLayout Layout)> Divided => _parameters;

    /// <summary>Whether modules compute as if they were not divided, because their parameters are whole for a time.</summary>
    public bool IsSuspended { get; set; }

    /// <summary>The divided module that was called last, for errors.</summary>
    public string? LastCalled { get; set; }

    /// <summary>The length of the sequence whose parts ranks hold now, where that is known.</summary>
    public long? SequenceLength { get; set; }

    /// <summary>What tells that the sums over ranks are known already, as a module computes again; null where none does.</summary>
    public Recomputation? Recomputation { get; set; }

    /// <summary>Puts hooks on a module, from <see cref="Activate"/> on until the end.</summary>
    public void Hook(string name, nn.Module module, Func<object?[], object?[]>? before, Func<object?, object?>? after)
    {
        if (!ModuleTree.IsCalled(module))
            throw new TensorParallelException($"Module '{name}' is a {module.GetType().Name}, which is never called itself: give styles to what it holds.");
        _registrations.Add(() => new ModuleHooks(
            module,
            given =>
            {
                LastCalled = name;
                return before is null || IsSuspended ? given : before(given);
            },
            returned =>
            {
                if (IsSuspended)
                    return returned;
                var result = after is null ? returned : after(returned);
                _outputs?.Add(result);
                return result;
            }));
    }

    /// <summary>
    /// Puts the hooks in place, inside of those of sharded data parallelism: what happens around a module's computation needs its parameters, which
    /// those gather before and release after it.
    /// </summary>
    /// <param name="root">The model.</param>
    public void Activate(nn.Module root)
    {
        _hooks.AddRange(_registrations.Select(register => register()));
        if (releasesOutputs)
            _hooks.Add(_outputs = new OutputRelease(root, [.. Styles.Keys]));
    }

    /// <summary>Takes the hooks off, until they are put in place again.</summary>
    public void Deactivate()
    {
        _hooks.ForEach(hook => hook.Dispose());
        _hooks.Clear();
        _outputs = null;
    }

    /// <summary>Keeps this rank's part of a parameter, in place: what holds the parameter sees the part.</summary>
    /// <param name="name">Name of the parameter in the model.</param>
    /// <param name="parameter">The whole parameter, or its part already where another module has it too.</param>
    /// <param name="layout">Which part.</param>
    public void Divide(string name, Parameter parameter, ParameterLayout layout)
    {
        if (layout.LocalShape.Contains(0))
        {
            throw new TensorParallelException(
                $"Parameter '{name}' has {layout.Shape[layout.DividedDimension!.Value]} indices along dimension {layout.DividedDimension}, too few for "
                + $"{group.Size} ranks. Leave its module out of the plan.");
        }

        Layouts.Set(name, layout);
        if (_divided.TryGetValue(TensorMemory.DataPointer(parameter), out var before))
        {
            if (before.DividedDimension != layout.DividedDimension || !before.Ranges.SequenceEqual(layout.Ranges))
            {
                throw new TensorParallelException(
                    $"Parameter '{name}' belongs to several modules, whose styles divide it differently. Give them styles that divide it alike, "
                    + "such as a vocabulary-parallel embedding and a column-parallel head.");
            }

            return;
        }

        using var scope = NewDisposeScope();
        using var _ = no_grad();
        TensorData.Set(parameter, layout.Slice(parameter.detach()).clone().contiguous());
        _divided[TensorMemory.DataPointer(parameter)] = layout;
        _parameters.Add((parameter, layout));
    }

    /// <summary>The shape that a parameter had before it was divided.</summary>
    public IReadOnlyList<long> WholeShape(Parameter parameter) =>
        _divided.TryGetValue(TensorMemory.DataPointer(parameter), out var layout) ? layout.Shape : parameter.shape;

    /// <summary>Ranks that hold the same part as this one, where parts are held by several: neighbours.</summary>
    public ProcessGroup CopiesOf(int copies)
    {
        if (!_copies.TryGetValue(copies, out var ranks))
        {
            ranks = group.Split(
                "tensor copies", [.. Enumerable.Range(0, group.Size / copies).Select(part => Enumerable.Range(part * copies, copies).ToArray())]);
            _copies[copies] = ranks;
        }

        return ranks;
    }

    /// <summary>What a layer that divides its outputs computes with: all of its input, on every rank.</summary>
    /// <remarks>Layers that are called with the same tensor, as projections to queries, keys and values, share one exchange.</remarks>
    public Tensor Enter(Tensor input) => _input.Of(
        input, () => sequenceParallel ? GatherAlong.Run(input, SequenceDimension, group, alike: false, TotalOf(input)) : CopyToRanks.Run(input, group));

    /// <summary>What a layer that divides its inputs returns: the sum of what the ranks computed, or this rank's part of the sequence of it.</summary>
    public Tensor Leave(Tensor partial)
    {
        if (sequenceParallel)
            SequenceLength = partial.shape[^2];
        var known = Recomputation?.Replaying?.TakeSum();
        var sum = sequenceParallel ? ReduceScatterAlong.Run(partial, SequenceDimension, group, known) : SumOverRanks.Run(partial, group, known);
        if (group.Size > 1)
            Recomputation?.Recording?.AddSum(partial, sum);
        return sum;
    }

    /// <summary>This rank's part of the sequence of a tensor that all have alike.</summary>
    public Tensor Scatter(Tensor whole)
    {
        SequenceLength = whole.shape[^2];
        return ScatterAlong.Run(whole, SequenceDimension, group);
    }

    /// <summary>The whole sequence on every rank, for computations that are the same on all.</summary>
    public Tensor Collect(Tensor part) => GatherAlong.Run(part, SequenceDimension, group, alike: true, TotalOf(part));

    /// <summary>A parameter for computations that differ between ranks: its gradient is summed over them.</summary>
    public Tensor Shared(Parameter parameter) => CopyToRanks.Run(parameter, group);

    /// <summary>Says what a failure may have to do with divided layers; null for other failures.</summary>
    public TensorParallelException? Explain(Exception failure)
    {
        if (group.Size == 1 || LastCalled is not { } last)
            return null;
        if (releasesOutputs && OutputRelease.IsCause(failure))
        {
            return new TensorParallelException(
                $"A tensor was used after it was disposed, when module '{last}' had been called last. The plan has ReleasesOutputs, so that what divided modules "
                + "return is disposed when the module that called them returns something else. Code that keeps it longer, as in a field, needs a plan "
                + "without (WithReleasedOutputs(false)), or keeps a clone.", failure);
        }

        return failure is ExternalException
            ? new TensorParallelException(
                $"A computation failed after module '{last}', which is divided over {group.Size} ranks, was called. Code between divided layers must take "
                + "sizes from its tensors: a view that assumes all heads or all features, as [.., heads, -1], has to be one of this rank's, [.., -1, headSize]. "
                + $"The failure: {failure.Message.Split('\n')[0]}", failure)
            : null;
    }

    public void Dispose()
    {
        Deactivate();
        foreach (var ranks in _copies.Values)
            ranks.Dispose();
        _input.Dispose();
    }

    private long TotalOf(Tensor part)
    {
        var local = part.shape[^2];
        if (SequenceLength is null)
        {
            // What begins with a part, as a later stage of a pipeline does, is told by the others.
            Span<double> lengths = [local];
            group.AllReduce(lengths);
            SequenceLength = (long)lengths[0];
        }

        return SequenceLength is { } total && new Division(total, group.Size)[group.Rank].Length == local ? total : local * group.Size;
    }
}
