using ShardSharp.Communication;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Parameters whose gradients are reduced as one operation.</summary>
/// <param name="parameters">Parameters of one element type, with their names.</param>
internal sealed class GradientBucket(IReadOnlyList<(string Name, Parameter Parameter)> parameters)
{
    private const long NoGradient = -1;

    private readonly Tensor[] _gradients = new Tensor[parameters.Count];
    private readonly long[] _versions = new long[parameters.Count];
    private Work? _work;

    public IReadOnlyList<(string Name, Parameter Parameter)> Parameters { get; } = parameters;

    /// <summary>Whether backward has come to all gradients since <see cref="Remember"/>.</summary>
    /// <remarks>
    /// Autograd adds up what a parameter gets from all its uses and touches the gradient once, when the last of them is known
    /// (torch/csrc/autograd/functions/accumulate_grad.h).
    /// </remarks>
    public bool IsComplete
    {
        get
        {
            for (var i = 0; i < _versions.Length; i++)
            {
                var version = VersionOf(Parameters[i].Parameter);
                if (version == NoGradient || version == _versions[i])
                    return false;
            }

            return true;
        }
    }

    /// <summary>Notes what the gradients are before backward.</summary>
    public void Remember()
    {
        for (var i = 0; i < _versions.Length; i++)
            _versions[i] = VersionOf(Parameters[i].Parameter);
    }

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
            {
                throw new InvalidOperationException(
                    $"Parameter '{Parameters[i].Name}' received gradient in several parts, from a backward inside the step's backward, after "
                    + "its reduction had begun. Set overlapping_allreduce to false for this model.");
            }
        }
    }

    private static long VersionOf(Parameter parameter)
    {
        using var gradient = parameter.grad;
        return gradient is null ? NoGradient : TensorVersion.Of(gradient);
    }
}
