using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A module that is whole on every rank but computes with what differs between them, so that gradients are to be summed.</summary>
internal sealed class SharedParameters : TensorParallelStyle
{
    /// <summary>Whether also without sequence parallelism.</summary>
    public bool Always { get; init; }

    public override string Description => Always ? "whole, gradients summed" : "sequence-parallel";

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        var differs = Always || context.SequenceParallel;
        if (module is Dropout dropout)
            RankDropout.Hook(name, dropout, context, alike: !differs);
        if (!differs)
            return;
        ParameterSubstitution[] substitutions =
            [.. module.named_parameters(recurse: false).Select(named => new ParameterSubstitution(name, module, named.parameter))];
        if (substitutions.Length == 0)
            return;
        context.Hook(
            name,
            module,
            given =>
            {
                foreach (var substitution in substitutions)
                    substitution.Set(context.Shared(substitution.Parameter));
                return given;
            },
            returned =>
            {
                Array.ForEach(substitutions, substitution => substitution.Restore());
                return returned;
            });
    }
}
