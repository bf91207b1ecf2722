using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Divides a stage's backward in two, so that neither part computes what the other does.</summary>
/// <remarks>
/// <para>The backward of the inputs also finds out the gradients of what modules with parameters returned. From there to the module's parameters
/// it is one step, which needs nothing of the rest of the graph: for a linear layer, one product of matrices.</para>
/// <para>Checkpointed regions are divided in the same way: the backward of the inputs computes a region again, and keeps its graph for that of the
/// parameters.</para>
/// <para>That is right for parameters that one call of their module uses and nothing else. Whether it is so is found out at the first microbatch,
/// by comparing with a backward of everything. The other parameters get their gradients by a second backward through the stage.</para>
/// </remarks>
internal sealed partial class WeightSplit : IBackwardDivision, IDisposable
{
    /// <summary>An output so much larger than the input, as logits are, is not kept: that would cost more than it saves.</summary>
    private const int LargestGrowth = 4;

    private readonly List<ModuleHooks> _hooks = [];
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly ProcessGroup? _ranks;
    private readonly Recomputation _recomputation;
    private List<CapturedCall>? _captured;
    private readonly HashSet<Tensor> _noted = new(ReferenceEqualityComparer.Instance);
    private SavedForward? _divided;

    /// <param name="modules">The modules of the stage.</param>
    /// <param name="parameters">The parameters of the stage.</param>
    /// <param name="ranks">Ranks that share the stage, and communicate in backward: they must divide it alike. Null where this rank has all of it.</param>
    /// <param name="recomputation">What the model's checkpointed regions share; null where it has none.</param>
    public WeightSplit(
        IEnumerable<nn.Module> modules, IReadOnlyList<Parameter> parameters, ProcessGroup? ranks = null, Recomputation? recomputation = null)
    {
        (_parameters, _ranks, _recomputation) = (parameters, ranks, recomputation ?? new Recomputation());
        var all = modules.SelectMany(module => ModuleTree.Walk(module)).Select(named => named.Module).Distinct<nn.Module>(ReferenceEqualityComparer.Instance);
        foreach (var module in all.OfType<nn.Module<Tensor, Tensor>>())
        {
            Parameter[] own = [.. module.parameters(recurse: false)];
            if (own.Length > 0 && own.Length == module.parameters().Count())
                _hooks.Add(HooksOn(module, own));
        }
    }

    public bool Keeps => _divided is not null;

    public BackwardPart Part { get; private set; }

    /// <summary>Runs a forward of the stage.</summary>
    /// <param name="forward">The forward.</param>
    /// <returns>What its modules returned.</returns>
    public IReadOnlyList<CapturedCall> Watch(Action forward)
    {
        var captured = _captured = [];
        try
        {
            using var divided = _recomputation.Divide(this);
            forward();
        }
        finally
        {
            _captured = null;
            _noted.Clear();
        }

        // A module that is called twice would have to be told from one whose parameters another uses.
        var used = new Dictionary<Parameter, int>(ReferenceEqualityComparer.Instance);
        foreach (var parameter in captured.SelectMany(call => call.Parameters))
            used[parameter] = used.GetValueOrDefault(parameter) + 1;
        _shared.UnionWith(captured.Where(call => call.IsRegion).SelectMany(call => call.Parameters).Where(parameter => used[parameter] > 1));
        return
        [
            .. captured.Where(call =>
            {
                var isAlone = call.IsRegion || call.Parameters.All(parameter => used[parameter] == 1 && (!IsVerified || _apart.Contains(parameter)));
                if (!isAlone)
                    call.Dispose();
                return isAlone;
            }),
        ];
    }

    /// <summary>Computes the gradients of what the stage was given, and keeps what those of its parameters need.</summary>
    /// <param name="saved">A forward of the stage.</param>
    /// <param name="ofOutputs">The gradients of the outputs; null where the output is the loss. Owned from now on.</param>
    /// <returns>The gradient of each input; null for one that has none.</returns>
    public IReadOnlyList<Tensor?> BackwardOfInputs(SavedForward saved, Parcel? ofOutputs) =>
        Divided(saved, BackwardPart.Inputs, () => saved.BackwardOfInputs(ofOutputs, _recomputation));

    public void Note(IReadOnlyList<Tensor> outputs, IReadOnlyList<Parameter> parameters)
    {
        Tensor[] recorded = [.. outputs.Where(output => output.requires_grad)];
        if (_captured is null || recorded.Length == 0 || parameters.Count == 0)
            return;
        _captured.Add(new CapturedCall([.. recorded.Select(TensorReference.Of)], parameters) { IsRegion = true });
        _noted.UnionWith(recorded);
    }

    public (IReadOnlyList<Tensor> Outputs, IReadOnlyList<Tensor?>? OfInputs) Keep(
        IReadOnlyList<Tensor> inputs, IReadOnlyList<Parameter> parameters, IReadOnlyList<Tensor> gradients, Func<IReadOnlyList<Tensor>> compute)
    {
        IReadOnlyList<Tensor> outputs = [];
        var calls = Watch(() => outputs = compute());
        var region = new SavedForward(Parcel.Empty, inputs, outputs, calls);
        try
        {
            var held = new Parcel([.. gradients.Select(gradient => (gradient.IsInvalid ? null : TensorReference.Of(gradient), false))], null);
            var ofInputs = region.BackwardOfInputs(held, _recomputation);
            return (outputs, Part == BackwardPart.Inputs ? [.. ofInputs.Select(gradient => gradient?.DetachFromDisposeScope())] : null);
        }
        finally
        {
            _divided!.Regions.Add(new DividedRegion(region, parameters));
        }
    }

    public void Dispose()
    {
        foreach (var hooks in _hooks)
            hooks.Dispose();
    }

    private T Divided<T>(SavedForward saved, BackwardPart part, Func<T> backward)
    {
        (_divided, Part) = (saved, part);
        try
        {
            using var divided = _recomputation.Divide(this);
            return backward();
        }
        finally
        {
            (_divided, Part) = (null, BackwardPart.Whole);
            _recomputation.LetGo();
        }
    }

    /// <summary>Around all others, so that what is kept is what the module returns in the end.</summary>
    private ModuleHooks HooksOn(nn.Module<Tensor, Tensor> module, Parameter[] own)
    {
        var largest = 0L;
        return new ModuleHooks(
            module,
            given =>
            {
                // What an embedding returns is as large as what the layers after it take, however few its indices are.
                var input = (Tensor)given[0]!;
                largest = input.is_floating_point() ? LargestGrowth * input.numel() : long.MaxValue;
                return given;
            },
            returned =>
            {
                var output = (Tensor)returned!;
                if (_captured is not null && output.requires_grad && output.numel() <= largest)
                    Capture(output, own);
                return output;
            },
            outermost: true);
    }

    private void Capture(Tensor output, Parameter[] own)
    {
        // A module that is checkpointed itself has been noted as a region.
        Parameter[] trained = [.. own.Where(parameter => parameter.requires_grad)];
        if (trained.Length > 0 && !_noted.Contains(output))
            _captured!.Add(new CapturedCall([TensorReference.Of(output)], trained));
    }
}
