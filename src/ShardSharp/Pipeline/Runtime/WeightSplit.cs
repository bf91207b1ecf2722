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
/// <para>That is right for parameters that one call of their module uses and nothing else. Whether it is so is found out at the first microbatch,
/// by comparing with a backward of everything. The other parameters get their gradients by a second backward through the stage.</para>
/// </remarks>
internal sealed class WeightSplit : IDisposable
{
    /// <summary>An output so much larger than the input, as logits are, is not kept: that would cost more than it saves.</summary>
    private const int LargestGrowth = 4;

    private readonly List<nn.Module<Tensor, Tensor>.HookRemover> _hooks = [];
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly ProcessGroup? _ranks;
    private readonly HashSet<Parameter> _apart = new(ReferenceEqualityComparer.Instance);
    private List<CapturedCall>? _captured;

    /// <param name="modules">The modules of the stage.</param>
    /// <param name="parameters">The parameters of the stage.</param>
    /// <param name="ranks">Ranks that share the stage, and communicate in backward: they must divide it alike. Null where this rank has all of it.</param>
    public WeightSplit(IEnumerable<nn.Module> modules, IReadOnlyList<Parameter> parameters, ProcessGroup? ranks = null)
    {
        (_parameters, _ranks) = (parameters, ranks);
        var all = modules.SelectMany(module => ModuleTree.Walk(module)).Select(named => named.Module).Distinct<nn.Module>(ReferenceEqualityComparer.Instance);
        foreach (var module in all.OfType<nn.Module<Tensor, Tensor>>())
        {
            Parameter[] own = [.. module.parameters(recurse: false)];
            if (own.Length > 0 && own.Length == module.parameters().Count())
                _hooks.Add(module.register_forward_hook((_, input, output) => Capture(input, output, own)));
        }
    }

    /// <summary>Whether it is known which parameters are used by one call of their module alone.</summary>
    public bool IsVerified { get; private set; }

    /// <summary>Runs a forward of the stage.</summary>
    /// <param name="forward">The forward.</param>
    /// <returns>What its modules returned.</returns>
    public IReadOnlyList<CapturedCall> Watch(Action forward)
    {
        var captured = _captured = [];
        try
        {
            forward();
        }
        finally
        {
            _captured = null;
        }

        // A module that is called twice would have to be told from one whose parameters another uses.
        var used = new Dictionary<Parameter, int>(ReferenceEqualityComparer.Instance);
        foreach (var parameter in captured.SelectMany(call => call.Parameters))
            used[parameter] = used.GetValueOrDefault(parameter) + 1;
        return
        [
            .. captured.Where(call =>
            {
                var isAlone = call.Parameters.All(parameter => used[parameter] == 1 && (!IsVerified || _apart.Contains(parameter)));
                if (!isAlone)
                    call.Dispose();
                return isAlone;
            }),
        ];
    }

    /// <summary>Adds the gradients of the stage's parameters to theirs.</summary>
    /// <param name="calls">What its modules returned in this forward.</param>
    /// <param name="ends">Ends of the stage's graph.</param>
    /// <param name="gradients">Their gradients; null where the end is the loss.</param>
    public void Backward(IReadOnlyList<CapturedCall> calls, IList<Tensor> ends, IList<Tensor>? gradients)
    {
        Parameter[] trained = [.. _parameters.Where(parameter => parameter.requires_grad)];
        var known = calls.Where(call => call.Gradient is not null).ToArray();
        if (!IsVerified)
        {
            Verify(known, trained, ends, gradients);
            return;
        }

        foreach (var call in known)
            autograd.backward([call.Output], [call.Gradient!], retain_graph: true, inputs: [.. call.Parameters]);
        var done = known.SelectMany(call => call.Parameters).ToHashSet<Parameter>(ReferenceEqualityComparer.Instance);
        Tensor[] rest = [.. trained.Where(parameter => !done.Contains(parameter))];
        if (rest.Length > 0 && ends.Count > 0)
            autograd.backward(ends, gradients, inputs: rest);
    }

    public void Dispose()
    {
        foreach (var hook in _hooks)
            hook.remove();
    }

    private Tensor Capture(Tensor input, Tensor output, Parameter[] own)
    {
        // What an embedding returns is as large as what the layers after it take, however few its indices are.
        var isKept = !input.is_floating_point() || output.numel() <= LargestGrowth * input.numel();
        if (_captured is not null && output.requires_grad && isKept)
        {
            Parameter[] trained = [.. own.Where(parameter => parameter.requires_grad)];
            if (trained.Length > 0)
                _captured.Add(new CapturedCall(TensorReference.Of(output), trained));
        }

        return output;
    }

    /// <summary>Takes the other way for the parameters for which any of the ranks has to.</summary>
    private void Agree()
    {
        if (_ranks is null || _ranks.Size == 1)
            return;
        var apart = _parameters.Select(parameter => _apart.Contains(parameter) ? 1.0 : 0).ToArray();
        _ranks.AllReduce(apart.AsSpan(), ReduceOperation.Min);
        _apart.ExceptWith(_parameters.Where((_, i) => apart[i] == 0));
    }

    private void Verify(CapturedCall[] calls, Parameter[] trained, IList<Tensor> ends, IList<Tensor>? gradients)
    {
        IsVerified = true;
        if (trained.Length == 0 || ends.Count == 0)
            return;
        using var _ = no_grad();
        var whole = new Dictionary<Parameter, Tensor>(ReferenceEqualityComparer.Instance);
        foreach (var (parameter, gradient) in trained.Zip(Gradients()))
        {
            if (gradient is null || gradient.IsInvalid)
                continue;
            whole[parameter] = gradient;
            if (parameter.grad is { } sum)
                sum.add_(gradient);
            else
                parameter.grad = gradient.clone();
        }

        foreach (var call in calls)
        {
            if (call.Parameters.Zip(call.Gradients()).All(pair => whole.TryGetValue(pair.First, out var expected)
                && pair.Second is { IsInvalid: false } && expected.eq(pair.Second).all().item<bool>()))
                _apart.UnionWith(call.Parameters);
        }

        Agree();

        IList<Tensor> Gradients()
        {
            using var recorded = enable_grad();
            return autograd.grad(ends, trained, gradients, retain_graph: true, allow_unused: true);
        }
    }
}
