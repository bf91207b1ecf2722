using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>Spreads a model over ranks by a plan, once the plan is known to fit it.</summary>
internal static class PlanApplication
{
    /// <param name="root">The model, whole and equal on all ranks.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>What is to be disposed with the model.</returns>
    /// <exception cref="TensorParallelException">The plan does not fit.</exception>
    public static TensorParallelContext Apply(nn.Module root, TensorParallelPlan plan, ProcessGroup group)
    {
        var styled = Match(root, plan);
        RequirePairs(root, styled);
        var context = new TensorParallelContext(group, plan.SequenceParallel, plan.KeepsLogitsDivided);
        try
        {
            foreach (var (name, (module, style)) in styled)
                style.Apply(name, module, context);
            return context;
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>The modules that patterns fit, with the styles of the first that do.</summary>
    private static Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> Match(nn.Module root, TensorParallelPlan plan)
    {
        var styled = new Dictionary<string, (nn.Module, TensorParallelStyle)>();
        var modules = ModuleTree.Walk(root).Where(below => below.Name.Length > 0).ToArray();
        foreach (var (text, style) in plan.Styles)
        {
            var pattern = new NamePattern(text);
            var fits = modules.Where(below => pattern.Fits(below.Name)).ToArray();
            if (fits.Length == 0)
            {
                throw new TensorParallelException(
                    $"Pattern '{text}' of the plan fits no module. The model has, among others: "
                    + $"{string.Join(", ", modules.Where(below => !below.Module.children().Any()).Select(below => below.Name).Take(12))}.");
            }

            foreach (var (name, module) in fits)
                styled.TryAdd(name, (module, style));
        }

        return styled;
    }

    /// <summary>
    /// A divided output needs a layer that takes it divided. What belongs together lies in the same member of a list, such as a block of a
    /// transformer.
    /// </summary>
    private static void RequirePairs(nn.Module root, Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> styled)
    {
        string[] lists = [.. ModuleTree.Walk(root).Where(below => ModuleTree.IsList(below.Module)).Select(below => below.Name.Length == 0 ? "" : $"{below.Name}.")];
        foreach (var (name, (_, style)) in styled)
        {
            if (style is not ColumnParallel { GathersOutput: false })
                continue;
            var list = lists.Where(list => name.StartsWith(list, StringComparison.Ordinal)).MaxBy(list => list.Length);
            var member = list is null ? "" : name[..(name.IndexOf('.', list.Length) is var dot and >= 0 ? dot + 1 : name.Length)];
            if (!styled.Any(other => other.Value.Style is RowParallel && other.Key.StartsWith(member, StringComparison.Ordinal)))
            {
                throw new TensorParallelException(
                    $"Module '{name}' is column-parallel, but no module{(member.Length == 0 ? "" : $" of '{member[..^1]}'")} that could take its divided "
                    + "output is row-parallel. Give the linear layer behind it the style Row, or this one Column(gatherOutput: true).");
            }
        }
    }
}
