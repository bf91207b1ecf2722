using System.Runtime.InteropServices;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Finds the styles that sequence parallelism needs for the modules between the pairs of an automatic plan, or why it cannot be. It computes on one rank
/// what each would, with the parts of other ranks from the record of the whole forward, and compares all that modules between pairs are given and return.
/// </summary>
/// <param name="trace">A forward of the model, whole.</param>
/// <param name="pairs">The styles of the plan.</param>
/// <param name="degree">Number of ranks.</param>
internal sealed class SequenceSearch(ModelTrace trace, IReadOnlyDictionary<string, TensorParallelStyle> pairs, int degree)
{
    private const double Tolerance = 1e-4, HalfTolerance = 3e-2;

    /// <summary>Adapters of divided layers, which follow these.</summary>
    private readonly HashSet<object> _adapters = new(
        ModuleTree.Walk(trace.Root.Module).Where(below => pairs.ContainsKey(below.Name) && LinearAdapter.Of(below.Module) is not null)
            .SelectMany(below => below.Module.children()),
        ReferenceEqualityComparer.Instance);

    private string? _problem;

    /// <summary>The styles that are needed besides those of the plan.</summary>
    public Dictionary<string, TensorParallelStyle> Styles { get; } = [];

    /// <summary>Tries; why sequences cannot be divided, or null if they can.</summary>
    /// <param name="draws">Where the model draws random numbers; null where nobody knows.</param>
    public string? Run(RandomDraws? draws)
    {
        if (draws?.First is { } drawing)
            return $"{Named(drawing)} draws random numbers in its own code, which all ranks would draw alike; use nn.Dropout";
        if (TensorParts.Of(trace.Root.Arguments[0], out _).FirstOrDefault() is not { } given || given.dim() < 2 || given.shape[1] < degree)
            return $"the model is not called with a tensor [samples, sequence, ..] whose sequence {degree} ranks could share";
        foreach (var (name, module) in ModuleTree.Walk(trace.Root.Module))
        {
            if (!module.named_parameters(recurse: false).Any() || pairs.ContainsKey(name))
                continue;
            if (trace.Calls.All(call => call.Name != name))
                return $"{Named(name)} has parameters, and was not called: nobody knows what its gradients are parts of";
            if (trace.Calls.Any(call => call.Parent?.Name == name) && LinearAdapter.Of(module) is null)
                return $"{Named(name)} has parameters of its own and calls others: nobody knows with what its code uses them";
        }

        for (var rank = 0; rank < degree && _problem is null; rank++)
            Try(rank, given.shape[1]);
        return _problem;
    }

    private static string Named(string name) => name.Length == 0 ? "the model" : $"'{name}'";

    private void Try(int rank, long length)
    {
        var (next, isInside) = (0, false);
        var open = new Stack<TracedCall>();
        var called = trace.Calls.Select(call => call.Module).Distinct(ReferenceEqualityComparer.Instance).Cast<nn.Module>();
        ModuleHooks[] hooks = [.. called.Select(module => new ModuleHooks(module, given => Begin(module, given), End, outermost: true))];
        try
        {
            Evaluation.Run(trace.Root.Module, () => new ModuleCall(trace.Root.Module).Invoke(Evaluation.Copies(trace.Root.Arguments)));
        }
        catch (Exception failure) when (failure is ExternalException or ArgumentException or InvalidOperationException or IndexOutOfRangeException)
        {
            Refuse($"its code does not run on a part of the sequence: {failure.Message.Split('\n')[0]}");
        }
        finally
        {
            Array.ForEach(hooks, hook => hook.Dispose());
        }

        object?[] Begin(nn.Module module, object?[] given)
        {
            if (next == trace.Calls.Count || trace.Calls[next].Module != module)
                throw new InvalidOperationException($"it calls other modules than for the whole sequence, such as a {module.GetType().Name}");
            var call = trace.Calls[next++];
            open.Push(call);
            var style = pairs.GetValueOrDefault(call.Name);
            if (style is ColumnParallel)
            {
                Require(IsPart(call.Arguments[0], given[0]), $"'{call.Name}' is not called with this rank's part of the sequence");
                isInside |= style is ColumnParallel { GathersOutput: false };
                return Evaluation.Copies(call.Arguments);
            }

            if (isInside || style is not null || !call.DependsOnWhole || _adapters.Contains(module))
                return given;
            Choose(call, given);
            return Styles[call.Name] is SequenceGather ? Evaluation.Copies(call.Arguments) : given;
        }

        object? End(object? returned)
        {
            var call = open.Pop();
            var style = pairs.GetValueOrDefault(call.Name) ?? (isInside ? null : Styles.GetValueOrDefault(call.Name));
            isInside &= style is not RowParallel;
            if (style is RowParallel or VocabularyEmbedding or SequenceScatter)
                return PartOf((Tensor)call.Result!).clone();
            if (style is Styles.SharedParameters { Always: false })
                Require(IsPart(call.Result, returned), $"'{call.Name}' does not treat each position for itself");
            if (call == trace.Root)
                Require(AreAll(call.Result, returned, Same), "what the model returns is not the same for all ranks");
            return returned;
        }

        void Choose(TracedCall call, object?[] given)
        {
            var isPart = given.Zip(call.Arguments).Where(pair => pair.First is Tensor).All(pair => IsPart(pair.Second, pair.First));
            var isWhole = given.Zip(call.Arguments).All(pair => AreAll(pair.Second, pair.First, Same));
            var isScattered = isWhole && call.Result is Tensor { shape: { Length: > 1 } shape } && shape[^2] == length;
            Require(isPart || isScattered, isWhole
                ? $"'{call.Name}' computes something without a sequence, of whose gradient each rank would have a part"
                : $"'{call.Name}' is called with something that is neither the whole sequence nor a rank's part of it");
            var style = isScattered ? TensorParallelStyle.SequenceScatter()
                : ReferenceEquals(call.Returned, trace.Root.Returned) ? TensorParallelStyle.SequenceGather()
                : TensorParallelStyle.SequenceParallel();
            if (!Styles.TryAdd(call.Name, style))
                Require(Styles[call.Name].GetType() == style.GetType(), $"'{call.Name}' is called with the whole sequence and with a part of it");
        }

        Tensor PartOf(Tensor whole)
        {
            Require(whole.dim() > 1 && whole.shape[^2] == length, "its layers do not compute tensors [.., sequence, features]");
            var range = new Division(length, degree)[rank];
            return whole.narrow(-2, range.Start, range.Length);
        }

        bool IsPart(object? whole, object? part) => AreAll(whole, part, (one, other) => one.dim() > 1 && one.shape[^2] == length && Same(PartOf(one), other));
    }

    private static bool AreAll(object? expected, object? actual, Func<Tensor, Tensor, bool> compare)
    {
        var (one, other) = (TensorParts.Of(expected, out _), TensorParts.Of(actual, out _));
        return one.Count == other.Count && one.Zip(other).All(pair => compare(pair.First, pair.Second));
    }

    private static bool Same(Tensor expected, Tensor actual) => Evaluation.Distance(expected, actual)
        <= (expected.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? HalfTolerance : Tolerance);

    private void Require(bool holds, string problem)
    {
        if (holds)
            return;
        Refuse(problem);
        throw new InvalidOperationException(problem);
    }

    private void Refuse(string problem) => _problem ??= problem;
}
