using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>A linear layer whose outputs are divided.</summary>
internal sealed class ColumnParallel : TensorParallelStyle
{
    public bool GathersOutput { get; init; }

    public bool CopiesHeads { get; init; }

    public long HeadSize { get; init; } = 1;

    /// <summary>Numbers of outputs that are divided each for itself; null for all as one.</summary>
    public IReadOnlyList<long>? Sections { get; init; }

    public override string Description =>
        (Sections is null ? "column-parallel" : $"column-parallel in {Sections.Count} sections") + (GathersOutput ? ", output gathered" : "");

    internal override void Apply(string name, nn.Module module, TensorParallelContext context)
    {
        var linear = Require<Linear>(name, module);
        var features = linear.out_features;
        var (ranges, copies) = Ranges(name, features, context.Group);
        var substitutions = new List<ParameterSubstitution>();
        foreach (var (parameterName, parameter) in linear.named_parameters(recurse: false))
        {
            context.Divide(ModuleTree.NameOf(name, parameterName), parameter, ParameterLayout.Divided(WholeShape(parameter, features), 0, ranges, copies));
            if (copies > 1)
                substitutions.Add(new ParameterSubstitution(name, linear, parameter));
        }

        var gathers = GathersOutput && !context.KeepsLogitsDivided;
        if (GathersOutput && !gathers)
            context.DividedLogits = features;
        var holders = copies > 1 ? context.CopiesOf(copies) : null;
        context.Hook(
            name,
            linear,
            given =>
            {
                // Ranks with the same heads compute with them for different queries.
                foreach (var substitution in substitutions)
                    substitution.Set(CopyToRanks.Run(substitution.Parameter, holders!));
                return [context.Enter((Tensor)given[0]!)];
            },
            returned =>
            {
                substitutions.ForEach(substitution => substitution.Restore());
                if (!gathers)
                    return returned;
                using var part = (Tensor)returned!;
                return GatherAlong.Run(part, -1, context.Group, alike: true, features);
            });
    }

    /// <summary>A tied parameter may have been divided already.</summary>
    private static long[] WholeShape(Parameter parameter, long features) => [features, .. parameter.shape.Skip(1)];

    private (IndexRange[] Ranges, int Copies) Ranges(string name, long features, ProcessGroup group)
    {
        if (Sections is null)
        {
            var (range, copies) = Heads.Of(name, features, HeadSize, CopiesHeads, group);
            return ([range], copies);
        }

        if (Sections.Sum() != features)
            throw new TensorParallelException($"Module '{name}' has {features} outputs; the sections of its style have {Sections.Sum()}.");
        var start = 0L;
        var ranges = new List<IndexRange>();
        foreach (var section in Sections)
        {
            var (range, _) = Heads.Of(name, section, HeadSize, copies: false, group);
            ranges.Add(range with { Start = start + range.Start });
            start += section;
        }

        return ([.. ranges], 1);
    }
}
