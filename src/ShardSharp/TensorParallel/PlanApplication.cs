using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Styles;
using ShardSharp.Topology;
using TorchSharp.Modules;
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
        if (plan.SequenceParallel)
            RequireStyles(root, styled);
        var context = new TensorParallelContext(group, plan.SequenceParallel, plan.KeepsLogitsDivided, plan.ReleasesOutputs)
        {
            Styles = styled.ToDictionary(each => each.Key, each => each.Value.Style),
        };
        try
        {
            foreach (var (name, (module, style)) in styled)
                style.Apply(name, module, context);
            foreach (var (name, module) in ModuleTree.Walk(root))
            {
                if (module is Dropout dropout && !styled.ContainsKey(name))
                    RankDropout.Hook(name, dropout, context, alike: true);
            }

            return context;
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>Whether a plan says of each module with parameters what it does where sequences are divided.</summary>
    public static bool CanDivideSequences(nn.Module root, TensorParallelPlan plan)
    {
        if (plan.SequenceProblem is not null)
            return false;
        var styled = Match(root, plan.WithSequenceParallelism());
        return ModuleTree.Walk(root).All(below => styled.ContainsKey(below.Name) || !below.Module.named_parameters(recurse: false).Any());
    }

    /// <summary>The styles of a model's modules by their names.</summary>
    /// <exception cref="TensorParallelException">A pattern fits no module.</exception>
    public static IReadOnlyDictionary<string, TensorParallelStyle> StylesOf(nn.Module root, TensorParallelPlan plan) =>
        Match(root, plan).ToDictionary(each => each.Key, each => each.Value.Style);

    /// <summary>The modules that patterns fit, with the styles of the first that do.</summary>
    private static Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> Match(nn.Module root, TensorParallelPlan plan)
    {
        var styled = new Dictionary<string, (nn.Module, TensorParallelStyle)>();
        var modules = ModuleTree.Walk(root).Where(below => below.Name.Length > 0).ToArray();
        foreach (var (text, style) in plan.Applied)
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

        AdapterStyles.AddTo(root, styled);
        return styled;
    }

    /// <summary>Whether a module without a style sees all positions or a part of them nobody knows, and so what its gradients are.</summary>
    private static void RequireStyles(nn.Module root, Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> styled)
    {
        foreach (var (name, module) in ModuleTree.Walk(root))
        {
            if (!styled.ContainsKey(name) && module.named_parameters(recurse: false).Any())
            {
                throw new TensorParallelException(
                    $"Module '{name}' has parameters, but no style, which sequence parallelism needs: SequenceParallel if it treats positions alone, as norms "
                    + "do; SequenceGather if it needs all of them; SequenceScatter if it makes them; Replicated if it has nothing to do with sequences.");
            }
        }
    }

    /// <summary>
    /// A divided output needs a layer that takes it divided. What belongs together lies in the same member of a list whose members the model calls
    /// one by one, such as the blocks of a transformer.
    /// </summary>
    private static void RequirePairs(nn.Module root, Dictionary<string, (nn.Module Module, TensorParallelStyle Style)> styled)
    {
        string[] lists = [.. ModuleTree.Walk(root).Where(below => ModuleTree.IsList(below.Module) && !ModuleTree.IsCalled(below.Module))
            .Select(below => below.Name.Length == 0 ? "" : $"{below.Name}.")];
        foreach (var (name, (_, style)) in styled)
        {
            if (style is not ColumnParallel { GathersOutput: false, IsInner: false })
                continue;
            var list = lists.Where(list => name.StartsWith(list, StringComparison.Ordinal)).MaxBy(list => list.Length);
            var member = list is null ? "" : name[..(name.IndexOf('.', list.Length) is var dot and >= 0 ? dot + 1 : name.Length)];
            if (!styled.Any(other => other.Value.Style is RowParallel { IsInner: false } && other.Key.StartsWith(member, StringComparison.Ordinal)))
            {
                throw new TensorParallelException(
                    $"Module '{name}' is column-parallel, but no module{(member.Length == 0 ? "" : $" of '{member[..^1]}'")} that could take its divided "
                    + "output is row-parallel. Give the linear layer behind it the style Row, or this one Column(gatherOutput: true).");
            }
        }
    }
}
