using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Styles;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// The gradients of one forward of a model by which a plan shows whether it fits: of the parameters that every rank has whole, and of what all ranks go on
/// with after row-parallel layers and divided embeddings. Those of divided parameters follow from them.
/// </summary>
internal sealed class TrialGradients : IDisposable
{
    private readonly List<Found> _found = [];

    private TrialGradients()
    {
    }

    /// <summary>What has a gradient.</summary>
    /// <param name="Module">Name of the module.</param>
    /// <param name="Parameter">Name of its parameter; null for its output.</param>
    /// <param name="Gradient">The gradient.</param>
    public sealed record Found(string Module, string? Parameter, Tensor Gradient);

    /// <summary>In the order in which their modules were called first.</summary>
    public IReadOnlyList<Found> All => _found;

    /// <summary>Runs forward and backward in evaluation mode; null where the model cannot.</summary>
    /// <param name="root">The model. Its parameters' gradients stay as they are.</param>
    /// <param name="example">What to call it with.</param>
    /// <param name="styles">The styles of its modules, applied or not.</param>
    /// <param name="partOf">What this rank has of a tensor that the whole model returned, from its number and what was returned now; null for all.</param>
    public static TrialGradients? Record(
        nn.Module root, object?[] example, IReadOnlyDictionary<string, TensorParallelStyle> styles, Func<Func<Tensor, Tensor>, int, Tensor, Tensor>? partOf = null)
    {
        using var scope = NewDisposeScope();
        var modules = ModuleTree.Walk(root).DistinctBy(below => (object)below.Module, ReferenceEqualityComparer.Instance).ToArray();
        var own = modules.SelectMany(below => below.Module.named_parameters(recurse: false)
            .Select(named => (Module: below.Name, Name: named.name, named.parameter))).Where(each => each.parameter.requires_grad).ToArray();
        var divided = own.Where(each => IsDivided(styles.GetValueOrDefault(each.Module), each.Name)).ToArray();
        var addresses = divided.Select(each => TensorMemory.DataPointer(each.parameter)).ToHashSet();
        var whole = own.Where(each => !addresses.Contains(TensorMemory.DataPointer(each.parameter))).ToArray();
        var kept = whole.Select(each => each.parameter.grad).ToArray();
        var calls = new List<(string Module, Tensor? Output)>();
        var hooks = modules.Where(below => ModuleTree.IsCalled(below.Module))
            .Select(below => new ModuleHooks(below.Module, given => Begin(below.Name, given), returned => End(below.Name, returned), outermost: true)).ToArray();
        try
        {
            Array.ForEach(whole, each => each.parameter.grad = null);
            Array.ForEach(divided, each => each.parameter.requires_grad = false);
            var call = new ModuleCall(root);
            Evaluation.Run(
                root,
                () =>
                {
                    using var recorded = enable_grad();
                    var loss = TensorParts.Of(call.Invoke(call.Fitting([.. example])), out _).Index().Where(each => each.Item.requires_grad)
                        .Select(each => (each.Item * (partOf is null ? Weights(each.Item) : partOf(Weights, each.Index, each.Item))).sum())
                        .Aggregate((Tensor?)null, (sum, next) => sum is null ? next : sum + next);
                    loss?.backward();
                });
            var gradients = new TrialGradients();
            gradients.Take(calls, whole);
            return gradients;
        }
        catch (Exception) when (partOf is null)
        {
            return null;
        }
        finally
        {
            Array.ForEach(hooks, hook => hook.Dispose());
            Array.ForEach(divided, each => each.parameter.requires_grad = true);
            foreach (var (each, before) in whole.Zip(kept))
                each.parameter.grad = before;
        }

        object?[] Begin(string name, object?[] given)
        {
            calls.Add((name, null));
            return given;
        }

        object? End(string name, object? returned)
        {
            if (styles.GetValueOrDefault(name) is not (RowParallel { IsInner: false } or VocabularyEmbedding) || returned is not Tensor output)
                return returned;

            // Gradients flow on to what is before it, if anything there needs them.
            var end = output.requires_grad ? output : output.detach().requires_grad_();
            if (output.requires_grad)
                end.retain_grad();
            calls.Add((name, TensorReference.Of(end)));
            return end;
        }
    }

    public void Dispose() => _found.ForEach(found => found.Gradient.Dispose());

    private static bool IsDivided(TensorParallelStyle? style, string parameter) =>
        style is ColumnParallel or VocabularyEmbedding or CustomStyle || (style is RowParallel && parameter == "weight");

    /// <summary>By what the elements of an output are multiplied, so that each counts in another way.</summary>
    private static Tensor Weights(Tensor output) =>
        arange(output.numel(), ScalarType.Float32, output.device).cos().reshape(output.shape).to_type(output.dtype);

    private void Take(List<(string Module, Tensor? Output)> calls, (string Module, string Name, Parameter Parameter)[] whole)
    {
        var parameters = whole.ToLookup(each => each.Module);
        foreach (var (module, output) in calls.DistinctBy(call => call.Output is null ? call.Module : (object)call))
        {
            foreach (var (_, name, parameter) in output is null ? parameters[module] : [])
                Add(module, name, parameter);
            if (output is not null)
                Add(module, null, output);
            output?.Dispose();
        }

        void Add(string module, string? name, Tensor tensor) =>
            _found.Add(new Found(module, name, (tensor.grad ?? zeros_like(tensor)).detach().clone().DetachFromDisposeScope()));
    }
}
