using ShardSharp.Modules;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>A time during which divided parameters are whole on every rank, and modules compute as they did before they were divided.</summary>
internal sealed class WholeParameters : IDisposable
{
    private readonly TensorParallelContext _context;
    private readonly List<(Parameter Parameter, Tensor Part)> _parts = [];
    private IDisposable? _inner;

    /// <param name="context">The divided model.</param>
    /// <param name="inner">Disposed at the end.</param>
    public WholeParameters(TensorParallelContext context, IDisposable inner)
    {
        (_context, _inner) = (context, inner);
        if (context.IsSuspended)
            return;
        using var scope = NewDisposeScope();
        using var unrecorded = no_grad();

        // Those of other stages of a pipeline are nowhere on these ranks.
        foreach (var (parameter, layout) in context.Divided.Where(each => each.Parameter.numel() > 0))
        {
            var part = parameter.detach().DetachFromDisposeScope();
            TensorData.Set(parameter, Whole(part, layout));
            _parts.Add((parameter, part));
        }

        context.IsSuspended = true;
    }

    public void Dispose()
    {
        if (_parts.Count > 0)
            _context.IsSuspended = false;
        foreach (var (parameter, part) in _parts)
        {
            TensorData.Set(parameter, part);
            part.Dispose();
        }

        _parts.Clear();
        _inner?.Dispose();
        _inner = null;
    }

    /// <summary>The sum over ranks of what each has, in its place. Of ranks that have the same, which are neighbours, the first counts.</summary>
    private Tensor Whole(Tensor part, ParameterLayout layout)
    {
        var whole = zeros([.. layout.Shape], part.dtype, part.device);
        var dimension = layout.DividedDimension!.Value;
        var start = 0L;
        foreach (var (i, range) in layout.Ranges.Index())
        {
            if (_context.Group.Rank % layout.CopiesOf(i) == 0)
                whole.narrow(dimension, range.Start, range.Length).copy_(part.narrow(dimension, start, range.Length));
            start += range.Length;
        }

        _context.Group.AllReduce(whole);
        return whole;
    }
}
