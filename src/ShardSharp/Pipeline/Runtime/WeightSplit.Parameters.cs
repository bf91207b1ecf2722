using ShardSharp.Activations;
using ShardSharp.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <content>The gradients of parameters, after those of the inputs.</content>
internal sealed partial class WeightSplit
{
    private readonly HashSet<Parameter> _apart = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<Parameter> _apartInRegion = new(ReferenceEqualityComparer.Instance);

    /// <summary>Those that a region uses and something beside it: what one of the two gives may happen to be nothing at the first microbatch.</summary>
    private readonly HashSet<Parameter> _shared = new(ReferenceEqualityComparer.Instance);

    /// <summary>Whether it is known which parameters are used by one call of their module, or one region, alone.</summary>
    public bool IsVerified { get; private set; }

    /// <summary>Adds the gradients of the stage's parameters to theirs.</summary>
    /// <param name="saved">A forward of the stage, after <see cref="BackwardOfInputs"/>.</param>
    public void BackwardOfParameters(SavedForward saved) => Divided(saved, BackwardPart.Whole, () =>
    {
        Parameter[] trained = [.. _parameters.Where(parameter => parameter.requires_grad)];
        if (!IsVerified)
            Verify(saved, trained);
        else
            Backward(saved, trained);
        return true;
    });

    private void Backward(SavedForward saved, Parameter[] trained)
    {
        var done = new HashSet<Parameter>(ReferenceEqualityComparer.Instance);
        foreach (var piece in Pieces(saved))
        {
            var apart = piece.IsModule ? _apart : _apartInRegion;
            Parameter[] next = [.. piece.Parameters.Where(parameter => apart.Contains(parameter) && done.Add(parameter))];
            if (next.Length == 0)
                continue;
            Part = piece.IsModule ? BackwardPart.Parameters : BackwardPart.Whole;
            piece.Start.Backward(next);
            Part = BackwardPart.Whole;
        }

        Parameter[] rest = [.. trained.Where(parameter => !done.Contains(parameter))];
        if (rest.Length > 0 && saved.Start is { Any: true } start)
            start.Backward(rest);
    }

    /// <summary>
    /// The places from which gradients of parameters may be had, the nearest first: calls of modules, then the regions in which they lie. Regions come
    /// before those around them.
    /// </summary>
    private static WeightPiece[] Pieces(SavedForward saved)
    {
        var pieces = saved.Regions
            .SelectMany(region => PiecesOf(region.Forward).Append(new WeightPiece(region.Forward.Start, region.Parameters, IsModule: false)))
            .Concat(PiecesOf(saved));
        return [.. pieces.Where(piece => piece.Start.Any)];

        static IEnumerable<WeightPiece> PiecesOf(SavedForward forward) =>
            forward.Calls.Select(call => new WeightPiece(call.Start, call.Parameters, !call.IsRegion));
    }

    /// <summary>Takes the other way for the parameters for which any of the ranks has to.</summary>
    private void Agree(HashSet<Parameter> parameters)
    {
        if (_ranks is null || _ranks.Size == 1)
            return;
        var apart = _parameters.Select(parameter => parameters.Contains(parameter) ? 1.0 : 0).ToArray();
        _ranks.AllReduce(apart.AsSpan(), ReduceOperation.Min);
        parameters.ExceptWith(_parameters.Where((_, i) => apart[i] == 0));
    }

    private void Verify(SavedForward saved, Parameter[] trained)
    {
        IsVerified = true;
        if (trained.Length == 0 || saved.Start is not { Any: true } start)
            return;
        var whole = new Dictionary<Parameter, Tensor>(ReferenceEqualityComparer.Instance);
        foreach (var (parameter, gradient) in trained.Zip(start.GradientsOf(trained, _recomputation)))
        {
            if (gradient is null)
                continue;
            whole[parameter] = gradient;
            Add(parameter, gradient);
        }

        // The same pieces on all ranks that share the stage, whatever comes of them: there may be communication in each.
        foreach (var piece in Pieces(saved))
        {
            using var scope = NewDisposeScope();
            var apart = piece.IsModule ? _apart : _apartInRegion;
            foreach (var (parameter, gradient) in piece.Parameters.Zip(piece.Start.GradientsOf([.. piece.Parameters], _recomputation)))
            {
                if (gradient is not null && whole.TryGetValue(parameter, out var expected) && !_shared.Contains(parameter)
                    && expected.eq(gradient).all().item<bool>())
                    apart.Add(parameter);
            }
        }

        Agree(_apart);
        Agree(_apartInRegion);

        static void Add(Parameter parameter, Tensor gradient)
        {
            using var _ = no_grad();
            if (parameter.grad is { } sum)
                sum.add_(gradient);
            else
                parameter.grad = gradient.clone();
        }
    }
}
