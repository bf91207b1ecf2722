using ShardSharp.Communication;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>A parameter that stages on several ranks use, each of which has a copy: gradients are summed over the copies.</summary>
/// <param name="name">Its name in the model.</param>
/// <param name="parameter">This rank's copy.</param>
/// <param name="group">The ranks that have one.</param>
/// <param name="inFloat32">Whether gradients are summed over microbatches in float32, whatever the parameter's type.</param>
internal sealed class TiedCopy(string name, Parameter parameter, ProcessGroup group, bool inFloat32)
{
    // What was summed up before; adding this rank's part to it and summing again would count it once for each rank.
    private Tensor? _delivered;

    // This rank's part since then.
    private Tensor? _own;

    /// <summary>Its name in the model.</summary>
    public string Name => name;

    /// <summary>This rank's copy.</summary>
    public Parameter Parameter => parameter;

    /// <summary>How many ranks have a copy.</summary>
    public int Holders => group.Size;

    /// <summary>Puts the gradient of earlier steps aside.</summary>
    public void BeginStep() => _delivered = TakeGradient();

    /// <summary>Takes what a backward added.</summary>
    public void TakeShare()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (TakeGradient() is not { } share)
            return;
        if (_own is not null)
        {
            _own.add_(share);
            share.Dispose();
        }
        else if (inFloat32 && share.dtype != ScalarType.Float32)
        {
            _own = share.to_type(ScalarType.Float32).DetachFromDisposeScope();
            share.Dispose();
        }
        else
        {
            _own = share;
        }
    }

    /// <summary>Makes the gradient the sum of all ranks' parts, if it is time to.</summary>
    public void EndStep(bool sums)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var gradient = _delivered;
        _delivered = null;
        if (sums)
        {
            Span<double> present = [_own is null ? 0 : 1];
            group.AllReduce(present, ReduceOperation.Max);
            if (present[0] > 0)
            {
                var sum = _own ?? zeros_like(parameter, dtype: inFloat32 ? ScalarType.Float32 : null);
                group.AllReduce(sum);
                if (gradient is not null)
                    sum.add_(gradient);
                gradient = sum.to_type(parameter.dtype);
                _own?.DetachFromDisposeScope();
            }

            if (!ReferenceEquals(_own, gradient))
                _own?.Dispose();
            _own = null;
        }

        parameter.grad = gradient;
    }

    /// <summary>Lets go of all gradients.</summary>
    public void ZeroGradient()
    {
        _own?.Dispose();
        _own = null;
    }

    private Tensor? TakeGradient()
    {
        var gradient = parameter.grad?.DetachFromDisposeScope();
        parameter.grad = null;
        return gradient;
    }
}
