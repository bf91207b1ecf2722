using ShardSharp.Communication;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Parameters whose gradients are reduced as one operation.</summary>
/// <param name="parameters">Parameters of one element type, with their names.</param>
internal sealed class GradientBucket(IReadOnlyList<(string Name, Parameter Parameter)> parameters)
{
    private readonly Tensor[] _gradients = new Tensor[parameters.Count];
    private readonly long[] _versions = new long[parameters.Count];
    private Work? _work;

    public IReadOnlyList<(string Name, Parameter Parameter)> Parameters { get; } = parameters;

    /// <summary>Which of the gradients backward has come to.</summary>
    public GradientArrivals Arrivals { get; } = new([.. parameters.Select(named => named.Parameter)]);

    /// <summary>Begins to average the gradients over the group, in the background.</summary>
    /// <param name="group">Ranks with the same parameters.</param>
    /// <param name="present">Set for each parameter that this rank has a gradient of; the others count as zero.</param>
    public void Start(ProcessGroup group, Span<double> present)
    {
        using var _ = no_grad();
        for (var i = 0; i < _gradients.Length; i++)
        {
            var parameter = Parameters[i].Parameter;
            var gradient = parameter.grad;
            present[i] = gradient is null ? 0 : 1;
            if (gradient is null)
                parameter.grad = gradient = zeros_like(parameter);
            _gradients[i] = gradient.DetachFromDisposeScope();
            _versions[i] = TensorVersion.Of(gradient);
        }

        _work = group.AllReduceAsync(_gradients, ReduceOperation.Mean);
    }

    /// <summary>Waits for the averages.</summary>
    /// <exception cref="InvalidOperationException">Backward added to a gradient after it was thought complete.</exception>
    public void Finish()
    {
        _work!.Wait();
        _work = null;
        for (var i = 0; i < _gradients.Length; i++)
        {
            var late = TensorVersion.Of(_gradients[i]) != _versions[i];
            _gradients[i].Dispose();
            if (late)
                throw LateGradient.Of(Parameters[i].Name);
        }
    }
}
