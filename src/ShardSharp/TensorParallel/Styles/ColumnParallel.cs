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
        var ranges = Ranges(name, features, context.Group);
        var substitutions = new List<ParameterSubstitution>();
        foreach (var (parameterName, parameter) in linear.named_parameters(recurse: false))
        {
            context.Divide(ModuleTree.NameOf(name, parameterName), parameter, ParameterLayout.Mixed(WholeShape(parameter, features), ranges));
            if (ranges.Any(range => range.Copies > 1))
                substitutions.Add(new ParameterSubstitution(name, linear, parameter));
        }

        var gathers = GathersOutput && !context.KeepsLogitsDivided;
        if (GathersOutput && !gathers)
            context.DividedLogits = features;
        foreach (var copies in ranges.Select(range => range.Copies).Where(copies => copies > 1).Distinct())
            context.CopiesOf(copies);
        context.Hook(
            name,
            linear,
            given =>
            {
                foreach (var substitution in substitutions)
                    substitution.Set(Shared(substitution.Parameter, ranges, context));
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

    /// <summary>The parameter with the gradients of the heads that several ranks hold, and compute with for different queries, summed over these.</summary>
    private static Tensor Shared(Parameter parameter, (IndexRange Range, int Copies)[] ranges, TensorParallelContext context)
    {
        if (ranges.All(range => range.Copies == ranges[0].Copies))
            return CopyToRanks.Run(parameter, context.CopiesOf(ranges[0].Copies));
        using var scope = NewDisposeScope();
        var (parts, start) = (new List<Tensor>(), 0L);
        foreach (var (range, copies) in ranges)
        {
            var part = parameter.narrow(0, start, range.Length);
            parts.Add(copies == 1 ? part : CopyToRanks.Run(part, context.CopiesOf(copies)));
            start += range.Length;
        }

        return cat(parts, 0).MoveToOuterDisposeScope();
    }

    private (IndexRange Range, int Copies)[] Ranges(string name, long features, ProcessGroup group)
    {
        if (Sections is null)
            return [Heads.Of(name, features, HeadSize, CopiesHeads, group)];
        if (Sections.Sum() != features)
            throw new TensorParallelException($"Module '{name}' has {features} outputs; the sections of its style have {Sections.Sum()}.");
        var start = 0L;
        var ranges = new List<(IndexRange, int)>();
        foreach (var section in Sections)
        {
            // Sections that ranks can share are, so that only those with too few heads are copied.
            var (range, copies) = Heads.Of(name, section, HeadSize, CopiesHeads, group);
            ranges.Add((range with { Start = start + range.Start }, copies));
            start += section;
        }

        return [.. ranges];
    }
}
