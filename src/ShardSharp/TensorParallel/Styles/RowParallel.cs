using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A linear layer whose inputs are divided.</summary>
internal sealed class RowParallel : TensorParallelStyle
{
    public long HeadSize { get; init; } = 1;

    /// <summary>Whether it is a part of another row-parallel layer, which does the exchanges.</summary>
    public bool IsInner { get; private init; }

    public override string Description => "row-parallel";

    /// <summary>The style of an adapter's layer that computes a part of a sum with the divided input.</summary>
    public RowParallel Inner() => new() { HeadSize = HeadSize, IsInner = true };

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        var linear = Require<Linear>(name, module);
        var whole = linear.in_features;
        var (range, _) = Heads.Of(name, whole, HeadSize, copies: false, context.Group);
        context.Divide(ModuleTree.NameOf(name, "weight"), linear.weight!, ParameterLayout.Divided([linear.out_features, whole], 1, [range]));

        if (IsInner)
        {
            // Its output is summed with that of the layer that it is a part of.
            if (linear.bias is not null)
                throw new TensorParallelException($"Module '{name}' of an adapter has a bias, which each rank would add. Adapters have none.");
            return;
        }

        // Each rank adding the bias would count it once for each; so it is added to the sum.
        var bias = linear.bias is { } own ? new ParameterSubstitution(name, linear, own) : null;
        context.Hook(
            name,
            linear,
            given =>
            {
                RequireDivided(name, ((Tensor)given[0]!).shape[^1], range.Length, whole);
                bias?.Set(null);
                return given;
            },
            returned =>
            {
                using var partial = (Tensor)returned!;
                if (bias is null)
                    return context.Leave(partial);
                bias.Restore();
                using var sum = context.Leave(partial);
                if (!context.SequenceParallel)
                    return sum + bias.Parameter;
                using var shared = context.Shared(bias.Parameter);
                return sum + shared;
            });
    }

    private static void RequireDivided(string name, long given, long own, long whole)
    {
        if (given == own)
            return;
        throw new TensorParallelException(given == whole
            ? $"Row-parallel module '{name}' was called with all {whole} features instead of this rank's {own}: what computes them is not divided. "
                + "Make the layer before it column-parallel, without gathering its output, or leave this one out of the plan."
            : $"Row-parallel module '{name}' was called with {given} features; this rank's part of {whole} is {own}. The layer before it must be "
                + "column-parallel with the same headSize, and the code between must take sizes from its tensors: a view that assumes all heads "
                + "([.., heads, -1]) has to be one of this rank's ([.., -1, headSize]).");
    }
}
