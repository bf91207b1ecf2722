using ShardSharp.Modules;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Refuses modules without a style whose parameters may compute with divided features, which would leave each rank a part of their gradients: for plans
/// that could not be tried, such as those of stages of a pipeline. Trying tells it by the gradients themselves.
/// </summary>
internal sealed class PartWatch : IDisposable
{
    private const string Remedy =
        "This plan could not be tried, so say which it is: give the module the style SharedParameters if its parameters compute with what is divided, Replicated if not.";

    private readonly List<ModuleHooks> _hooks = [];
    private readonly TensorParallelContext _context;
    private string? _column;

    /// <param name="root">The model.</param>
    /// <param name="context">How it is divided.</param>
    /// <exception cref="TensorParallelException">The code of such a module calls divided layers.</exception>
    public PartWatch(nn.Module root, TensorParallelContext context)
    {
        _context = context;
        foreach (var (name, module) in ModuleTree.Walk(root).DistinctBy(below => (object)below.Module, ReferenceEqualityComparer.Instance))
        {
            var style = context.Styles.GetValueOrDefault(name);
            var isOpen = style is null && module.named_parameters(recurse: false).Any(named => named.parameter.requires_grad);
            if (isOpen && module.named_children().Select(child => child.name).FirstOrDefault(child => IsOfPair(ModuleTree.NameOf(name, child))) is { } divided)
            {
                throw new TensorParallelException(name.Length == 0
                    ? $"The model has parameters of its own, and calls '{divided}', which is divided. This plan could not be tried: move the parameters into a module that can "
                        + "have a style, SharedParameters if they compute with what is divided, Replicated if not."
                    : $"Module '{name}' has parameters of its own and no style, and calls '{divided}', which is divided. {Remedy}");
            }

            if (ModuleTree.IsCalled(module) && (isOpen || name.Length == 0 || IsOfPair(name)))
                _hooks.Add(new ModuleHooks(module, given => Begin(name, style, given), returned => End(name, style, returned), outermost: true));
        }

        bool IsOfPair(string name) => context.Styles.GetValueOrDefault(name) is
            ColumnParallel { GathersOutput: false, IsInner: false } or RowParallel { IsInner: false };
    }

    public void Dispose() => _hooks.ForEach(hook => hook.Dispose());

    private object?[] Begin(string name, TensorParallelStyle? style, object?[] given)
    {
        if (name.Length == 0 || style is RowParallel)
            _column = null;
        if (style is null && name.Length > 0 && _column is not null && !_context.IsSuspended)
        {
            throw new TensorParallelException(
                $"Module '{name}' has parameters and no style, and is called behind '{_column}', where features are divided. {Remedy}");
        }

        return given;
    }

    private object? End(string name, TensorParallelStyle? style, object? returned)
    {
        if (style is ColumnParallel)
            _column = name;
        return returned;
    }
}
