using ShardSharp.Native;
using TorchSharp.Modules;

namespace ShardSharp.DataParallel;

/// <summary>Tells during backward which parameters' gradients are complete.</summary>
/// <remarks>
/// Autograd adds up what a parameter gets from all its uses and touches the gradient once, when the last of them is known
/// (torch/csrc/autograd/functions/accumulate_grad.h).
/// </remarks>
internal sealed class GradientArrivals(IReadOnlyList<Parameter> parameters)
{
    private const long NoGradient = -1;

    /// <summary>Frozen: no gradient will come.</summary>
    private const long NotExpected = -2;

    private readonly long[] _versions = new long[parameters.Count];

    /// <summary>Whether backward has come to all gradients since <see cref="Remember"/>.</summary>
    public bool AreComplete
    {
        get
        {
            for (var i = 0; i < _versions.Length; i++)
            {
                if (_versions[i] == NotExpected)
                    continue;
                var version = VersionOf(parameters[i]);
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
            _versions[i] = parameters[i].requires_grad ? VersionOf(parameters[i]) : NotExpected;
    }

    private static long VersionOf(Parameter parameter)
    {
        using var gradient = parameter.grad;
        return gradient is null ? NoGradient : TensorVersion.Of(gradient);
    }
}
