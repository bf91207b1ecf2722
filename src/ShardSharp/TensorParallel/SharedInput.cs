using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>What was made of the tensor that a module was called with last, for other modules that are called with the same one.</summary>
/// <remarks>
/// References are strong: which tensors a garbage collection has taken differs between ranks, and with it the order of their collectives would.
/// </remarks>
internal sealed class SharedInput : IDisposable
{
    private (Tensor Input, long Version, bool Recorded, Tensor Made)? _last;

    /// <summary>What is made of a tensor, made anew unless it was the last one, is unchanged, and what was made of it is still there.</summary>
    public Tensor Of(Tensor input, Func<Tensor> make)
    {
        var (version, recorded) = (TensorVersion.Of(input), is_grad_enabled());
        if (_last is { } last && ReferenceEquals(last.Input, input) && last.Version == version && last.Recorded == recorded && !last.Made.IsInvalid)
            return last.Made;
        var made = make();
        _last = (input, version, recorded, made);
        return made;
    }

    /// <summary>Forgets it.</summary>
    public void Dispose() => _last = null;
}
