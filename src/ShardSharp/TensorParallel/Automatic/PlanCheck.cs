using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Styles;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Compares what a model computes before and after it is spread over ranks, so that a plan that does not fit it, or code that assumes all of
/// what is divided, is an error and never a wrong number.
/// </summary>
/// <param name="root">The model.</param>
/// <param name="example">What to call it with; owned from now on.</param>
/// <param name="before">What it computed whole; owned from now on.</param>
/// <param name="gradients">Its gradients; null where it has none.</param>
/// <param name="draws">Where it drew random numbers in training; null where nobody knows.</param>
internal sealed class PlanCheck(nn.Module root, object?[] example, ModelTrace before, TrialGradients? gradients, RandomDraws? draws) : IDisposable
{
    private const double Tolerance = 3e-4, HalfTolerance = 0.1;

    /// <summary>What rounding may make of gradients that are small beside others.</summary>
    private const double Rounding = 3e-6;

    /// <summary>Notes what a model computes; null where it cannot be called with an example that was made up.</summary>
    /// <param name="root">The model, whole.</param>
    /// <param name="example">What to call it with; null for no check. Owned from now on.</param>
    /// <param name="isGuess">Whether the example was made up, so that the model may rightly refuse it.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="plan">The plan.</param>
    /// <exception cref="TensorParallelException">The plan's patterns do not fit the model.</exception>
    public static PlanCheck? Of(nn.Module root, object?[]? example, bool isGuess, ProcessGroup group, TensorParallelPlan plan)
    {
        if (example is null)
            return null;
        var styles = PlanApplication.StylesOf(root, plan);
        try
        {
            return new PlanCheck(root, example, ModelTrace.Record(root, example), TrialGradients.Record(root, example, styles), RandomDraws.Record(root, example, group));
        }
        catch (Exception)
        {
            foreach (var tensor in example.OfType<Tensor>())
                tensor.Dispose();

            // After a guess the program's own first step will tell what is wrong with the model, if anything is.
            if (!isGuess)
                throw;
            return null;
        }
    }

    /// <summary>Whether it is known where the model draws random numbers.</summary>
    public bool KnowsDraws => draws is not null;

    /// <summary>Whether gradients are compared, too.</summary>
    public bool KnowsGradients => gradients is not null;

    /// <summary>Runs the model as it is now on all ranks.</summary>
    /// <exception cref="TensorParallelException">It computes something else.</exception>
    public void Run(TensorParallelContext context)
    {
        if (draws?.Problem(context) is { } problem)
            throw new TensorParallelException(problem);
        using var after = Explained(context, () => ModelTrace.Record(root, example));

        // The model itself last: what differs first says where to look.
        var calls = before.Calls.Zip(after.Calls).ToArray();
        foreach (var (one, other) in calls.Skip(1).Append(calls[0]))
        {
            var style = context.Styles.GetValueOrDefault(one.Name);
            if (one.Name == other.Name)
                RequireSummedGradients(one, other, style, context);
            var isWhole = style is RowParallel { IsInner: false } or VocabularyEmbedding or Styles.Replicated || ReferenceEquals(one, before.Root);
            if (one.Name != other.Name || !isWhole)
                continue;
            foreach (var (expected, actual) in TensorParts.Of(one.Result, out _).Zip(TensorParts.Of(other.Result, out _)))
                Compare(one.Name, expected, actual, context);
        }

        if (gradients is not null)
            CompareGradients(gradients, context);
    }

    public void Dispose()
    {
        before.Dispose();
        gradients?.Dispose();
        foreach (var tensor in example.OfType<Tensor>())
            tensor.Dispose();
    }

    /// <summary>What a whole module computes with a part may be right, while each rank has only a part of its gradient, or all drop the same.</summary>
    private static void RequireSummedGradients(TracedCall one, TracedCall other, TensorParallelStyle? style, TensorParallelContext context)
    {
        var isAlone = style is null or Styles.Replicated || (style is SharedParameters { Always: false } && !context.SequenceParallel);
        if (!isAlone || !one.DependsOnWhole || TracedCall.HaveSameShapes(one.Arguments, other.Arguments))
            return;
        throw new TensorParallelException(
            $"Module '{one.Name}', a {one.Module.GetType().Name}, is called with what is divided over {context.Group.Size} ranks, and is whole: its gradient would be a "
            + "part on each rank, and dropout the same on all. Give it the style SharedParameters, or SequenceParallel where it is sequences that are divided.");
    }

    private static T Explained<T>(TensorParallelContext context, Func<T> run)
    {
        try
        {
            return run();
        }
        catch (Exception failure) when (context.Explain(failure) is { } explained)
        {
            throw explained;
        }
    }

    private void Compare(string name, Tensor expected, Tensor actual, TensorParallelContext context)
    {
        using var scope = NewDisposeScope();
        if (!expected.is_floating_point())
            return;
        var part = PartOf(expected, actual, context);
        var distance = Evaluation.Distance(part, actual);
        Span<double> worst = [double.IsNaN(distance) ? double.MaxValue : Math.Min(distance, double.MaxValue)];
        context.Group.AllReduce(worst, ReduceOperation.Max);
        if (worst[0] <= Bound)
            return;
        throw new TensorParallelException(
            $"{(name.Length == 0 ? "The model" : $"Module '{name}'")} computes something else when it is divided over {context.Group.Size} ranks: off by "
            + $"{worst[0]:G3} of its norm on an example. Either the code before it assumes all of what is divided, such as a view [.., heads, -1], which has "
            + "to be [.., -1, headSize]; or the plan divides layers that it must not, or leaves a module out that computes with a part: a norm over "
            + "divided features, dropout, a residual. Correct the code, or leave its layers out of the plan. (Without a session, ranks that began with different parameters look like this too.)");
    }

    /// <summary>Names the module nearest to the model's end whose gradient is another: it is what those before it have theirs from.</summary>
    private void CompareGradients(TrialGradients gradients, TensorParallelContext context)
    {
        var outputs = TensorParts.Of(before.Root.Result, out _);
        using var after = Explained(
            context, () => TrialGradients.Record(root, example, context.Styles, (weights, i, own) => PartOf(weights(outputs[i]), own, context)))!;
        context.Group.ThrowDeferred();
        using var scope = NewDisposeScope();
        var (expected, actual) = (gradients.All, after.All);
        if (!expected.Select(found => (found.Module, found.Parameter)).SequenceEqual(actual.Select(found => (found.Module, found.Parameter))))
            return;
        var norms = expected.Select(found => found.Gradient.to_type(ScalarType.Float64).norm().item<double>()).ToArray();
        var most = norms.Zip(expected).ToLookup(pair => pair.Second.Parameter is null, pair => pair.First).ToDictionary(each => each.Key, each => each.Max());
        var distances = expected.Zip(actual, norms).Select(each => Off(each.First.Gradient, each.Second.Gradient, Math.Max(
            each.Third, Rounding / Tolerance * most[each.First.Parameter is null]))).ToArray();
        context.Group.AllReduce(distances.AsSpan(), ReduceOperation.Max);
        if (Array.FindLastIndex(distances, distance => distance > Bound) is var wrong and >= 0)
            throw new TensorParallelException(GradientProblem(expected[wrong], distances[wrong], context));

        double Off(Tensor whole, Tensor own, double norm)
        {
            var part = PartOf(whole, own, context);
            var distance = part.shape.SequenceEqual(own.shape) ? (own - part).to_type(ScalarType.Float64).norm().item<double>() / Math.Max(norm, 1e-30) : double.MaxValue;
            return double.IsNaN(distance) ? double.MaxValue : Math.Min(distance, double.MaxValue);
        }
    }

    private static string GradientProblem(TrialGradients.Found found, double distance, TensorParallelContext context)
    {
        var where = context.SequenceParallel ? "features or positions that are" : "features that are";
        var module = found.Module.Length == 0 ? "The model" : $"Module '{found.Module}'";
        var off = $"when it is divided over {context.Group.Size} ranks: off by {distance:G3} of its norm on an example.";
        return found.Parameter is null
            ? $"The gradient of what module '{found.Module}' returns is another {off} Code behind it computes with that and with {where} divided, without a "
                + "column-parallel layer in between, so that each rank has a part of the gradient. Have such a layer compute it, or leave the layers out of the plan."
            : $"{module} has a parameter '{found.Parameter}' whose gradient is another {off} " + (context.Styles.GetValueOrDefault(found.Module) is SharedParameters
                ? "Its style sums gradients over ranks, which have the same already, or not all of it: give it the style Replicated, or leave the layers around it out "
                    + "of the plan."
                : $"Code computes with the parameter and with {where} divided, and each rank has a part of the gradient: give the module the style SharedParameters, which "
                    + "sums such gradients, or leave the layers around it out of the plan.");
    }

    /// <summary>What rounding may make of it in the type that the model computes in.</summary>
    private double Bound => root.parameters().Any(parameter => parameter.dtype is ScalarType.Float16 or ScalarType.BFloat16) ? HalfTolerance : Tolerance;

    /// <summary>What this rank has of a tensor: with sequence parallelism a part of the sequence, with divided logits one of the vocabulary.</summary>
    private static Tensor PartOf(Tensor whole, Tensor own, TensorParallelContext context)
    {
        for (var dimension = 0; dimension < Math.Min(whole.dim(), own.dim()); dimension++)
        {
            var range = new Division(whole.shape[dimension], context.Group.Size)[context.Group.Rank];
            if (own.shape[dimension] != whole.shape[dimension] && own.shape[dimension] == range.Length)
                return whole.narrow(dimension, range.Start, range.Length);
        }

        return whole;
    }
}
