using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>What the distributed modules in a model say of its parameters.</summary>
internal static class DistributedModules
{
    /// <summary>Whether there are any.</summary>
    public static bool AreIn(nn.Module root) => ModuleTree.Walk(root).Any(below => below.Module is IDistributedModule);

    /// <summary>Which part of each parameter this rank holds, by names in the model.</summary>
    /// <exception cref="TensorParallelException">A module has a parameter of another shape than it says, or none of that name.</exception>
    public static ParameterLayouts LayoutsOf(nn.Module root)
    {
        var layouts = new ParameterLayouts();
        foreach (var (name, module) in ModuleTree.Walk(root))
        {
            if (module is not IDistributedModule distributed)
                continue;
            var parameters = module.named_parameters(recurse: false).ToDictionary(named => named.name, named => named.parameter);
            foreach (var part in distributed.DividedParameters)
            {
                var layout = part.Layout;
                if (!parameters.TryGetValue(part.Name, out var parameter) || !parameter.shape.SequenceEqual(layout.LocalShape))
                {
                    throw new TensorParallelException(
                        $"Module '{name}' says that its parameter '{part.Name}' is a part of shape [{string.Join(", ", layout.LocalShape)}], but "
                        + (parameter is null ? "has none of that name." : $"its shape is [{string.Join(", ", parameter.shape)}]."));
                }

                layouts.Set(ModuleTree.NameOf(name, part.Name), layout);
            }
        }

        return layouts;
    }
}
