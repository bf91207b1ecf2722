using System.Runtime.InteropServices;
using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Tries on one rank whether linear layers can be divided: computes what each rank would, part after part, and adds the parts up. So it sees
/// whatever the code between them does.
/// </summary>
/// <param name="parent">A call that all layers were called in.</param>
/// <param name="columns">Layers whose outputs are divided, and how.</param>
/// <param name="row">The call of the layer whose inputs are divided.</param>
/// <param name="between">Calls between those that the ranks would differ in, of modules whose gradients or dropout depend on whether they do.</param>
/// <param name="degree">Number of ranks.</param>
internal sealed class PairTrial(
    TracedCall parent, IReadOnlyList<ColumnSections> columns, TracedCall row, IReadOnlyList<TracedCall> between, int degree)
{
    private const double Tolerance = 1e-4, HalfTolerance = 3e-2;

    private readonly HashSet<string> _whole = [];

    /// <summary>
    /// A module between with parameters that is called with no part, as with positions, so that its gradient may be a part unseen; null for none. Adapters
    /// follow their layers.
    /// </summary>
    public string? CalledAlone => between.FirstOrDefault(call =>
        _whole.Contains(call.Name) && call.Module.named_parameters(recurse: false).Any()
        && !columns.Any(column => IsAdapterOf(column.Layer, call.Module)))?.Name;

    /// <summary>Names of the modules between that are called with a part.</summary>
    public HashSet<string> CalledWithPart { get; } = [];

    /// <summary>Why they cannot be divided; null if they can.</summary>
    public string? Run()
    {
        var layer = (Linear)row.Module;
        Parameter[] parameters = [.. columns.SelectMany(column => Outputs(column.Layer)), .. Inputs(layer)];
        var values = parameters.Select(parameter => parameter.detach().alias().DetachFromDisposeScope()).ToArray();
        var bias = layer.bias is { } own ? new ParameterSubstitution(row.Name, layer, own) : null;
        try
        {
            string? reason = null;
            Evaluation.Run(parent.Module, () => reason = Compare(layer, bias));
            return reason;
        }
        finally
        {
            bias?.Restore();
            foreach (var (parameter, value) in parameters.Zip(values))
            {
                TensorData.Set(parameter, value);
                value.Dispose();
            }
        }

        string? Compare(Linear layer, ParameterSubstitution? bias)
        {
            var expected = (Tensor)row.Result!;
            var sum = bias is null ? zeros_like(expected) : zeros_like(expected) + bias.Parameter;
            for (var rank = 0; rank < degree; rank++)
            {
                Divide(rank, layer, values);
                var (failure, partial) = Compute(layer, bias, expected);
                if (failure is not null)
                    return failure;
                sum = sum + partial!;
                partial!.Dispose();
            }

            if (CalledWithPart.FirstOrDefault(_whole.Contains) is { } both)
                return $"'{both}' is called with all features and with a part of them";
            return Evaluation.Distance(expected, sum) <= Bound(expected)
                ? null
                : "what the ranks would compute does not add up: the code between does not treat them alike, such as a view that assumes all heads "
                    + "([.., heads, -1] instead of [.., -1, headSize])";
        }
    }

    /// <summary>Parameters that are divided with a layer's outputs, along their first dimension: its own, and its adapter's.</summary>
    private static Parameter[] Outputs(Linear layer) =>
        [.. layer.parameters(recurse: false), .. LinearAdapter.Of(layer) is { } adapter ? adapter.Up.parameters() : []];

    /// <summary>Parameters that are divided with a layer's inputs, along their second dimension.</summary>
    private static Parameter[] Inputs(Linear layer) => LinearAdapter.Of(layer) is { } adapter ? [layer.weight!, adapter.Down.weight!] : [layer.weight!];

    private static bool IsAdapterOf(Linear layer, nn.Module module) =>
        LinearAdapter.Of(layer) is { } adapter && (ReferenceEquals(module, adapter.Down) || ReferenceEquals(module, adapter.Up));

    private static double Bound(Tensor tensor) => tensor.dtype is ScalarType.Float32 or ScalarType.Float64 ? Tolerance : HalfTolerance;

    private void Divide(int rank, Linear layer, Tensor[] values)
    {
        var next = 0;
        foreach (var column in columns)
        {
            foreach (var parameter in Outputs(column.Layer))
                TensorData.Set(parameter, ParameterLayout.Divided(values[next].shape, 0, column.RangesOf(rank, degree)).Slice(values[next++]).contiguous());
        }

        var share = layer.in_features / degree;
        foreach (var parameter in Inputs(layer))
            TensorData.Set(parameter, values[next++].narrow(1, rank * share, share).contiguous());
    }

    /// <summary>One rank's part, while the code behind goes on with the sum as it was; the parent must then return what it did.</summary>
    private (string? Failure, Tensor? Partial) Compute(Linear layer, ParameterSubstitution? bias, Tensor expected)
    {
        Tensor? partial = null;
        using var hooks = new ModuleHooks(
            layer,
            given =>
            {
                bias?.Set(null);
                return given;
            },
            returned =>
            {
                bias?.Restore();
                // The code that called the layer may end a dispose scope.
                partial = ((Tensor)returned!).clone().DetachFromDisposeScope();
                return expected.clone();
            });
        var next = 0;
        ModuleHooks[] looks = [.. between.DistinctBy(call => (object)call.Module, ReferenceEqualityComparer.Instance)
            .Select(call => new ModuleHooks(call.Module, given => Look(between[next++], given), returned => returned, outermost: true))];
        object? result;
        try
        {
            result = new ModuleCall(parent.Module).Invoke(Evaluation.Copies(parent.Arguments));
        }
        catch (Exception failure) when (failure is ExternalException or ArgumentException or InvalidOperationException)
        {
            return ($"its code does not run on a part: {failure.Message.Split('\n')[0]}", null);
        }
        finally
        {
            Array.ForEach(looks, look => look.Dispose());
        }

        var same = TensorParts.Of(parent.Result, out _).Zip(TensorParts.Of(result, out _))
            .All(pair => Evaluation.Distance(pair.First, pair.Second) <= Bound(pair.First));
        return same && partial is not null ? (null, partial) : ($"'{parent.Name}' uses what it computes also in other ways than through '{row.Name}'", null);
    }

    private object?[] Look(TracedCall call, object?[] given)
    {
        (TracedCall.HaveSameShapes(call.Arguments, given) ? _whole : CalledWithPart).Add(call.Name);
        return given;
    }
}
