using ShardSharp.Communication;
using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>What a user does with a module.</summary>
internal sealed class CustomStyle(
    IReadOnlyDictionary<string, int> dimensions, Func<object?[], ProcessGroup, object?[]>? before, Func<object?, ProcessGroup, object?>? after)
    : TensorParallelStyle
{
    public override string Description => "custom";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        foreach (var (parameterName, dimension) in dimensions)
        {
            var parameter = module.get_parameter(parameterName) ?? throw new TensorParallelException(
                $"Module '{name}' has no parameter '{parameterName}'; it has: {string.Join(", ", module.named_parameters(recurse: false).Select(named => named.name))}.");
            var shape = parameter.shape;
            if (dimension < 0 || dimension >= shape.Length)
                throw new TensorParallelException($"Parameter '{parameterName}' of module '{name}' has {shape.Length} dimensions, and none of number {dimension}.");
            var own = new Division(shape[dimension], context.Group.Size)[context.Group.Rank];
            context.Divide(ModuleTree.NameOf(name, parameterName), parameter, ParameterLayout.Divided(shape, dimension, [own]));
        }

        if (before is null && after is null)
            return;
        context.Hook(
            name,
            module,
            before is null ? null : given => before(given, context.Group),
            after is null ? null : returned => after(returned, context.Group));
    }
}
