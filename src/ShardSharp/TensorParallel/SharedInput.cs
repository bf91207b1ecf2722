using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>What was made of the tensor that a module was called with last, for other modules that are called with the same one.</summary>
/// <remarks>
/// References are strong: which tensors a garbage collection has taken differs between ranks, and with it the order of their collectives would.
/// </remarks>
/// <typeparam name="TMade">What it is.</typeparam>
/// <param name="isThere">Whether what was made has not been disposed since.</param>
/// <param name="letGo">Called with what was made when it is forgotten; null for nothing.</param>
internal sealed class SharedInput<TMade>(Func<TMade, bool> isThere, Action<TMade>? letGo = null) : IDisposable
{
    private (Tensor Input, long Version, bool Recorded, TMade Made)? _last;

    /// <summary>What is made of a tensor, made anew unless it was the last one, is unchanged, and what was made of it is still there.</summary>
    public TMade Of(Tensor input, Func<TMade> make)
    {
        var (version, recorded) = (TensorVersion.Of(input), is_grad_enabled());
        if (_last is { } last && ReferenceEquals(last.Input, input) && last.Version == version && last.Recorded == recorded && isThere(last.Made))
            return last.Made;
        Dispose();
        var made = make();
        _last = (input, version, recorded, made);
        return made;
    }

    /// <summary>Forgets it.</summary>
    public void Dispose()
    {
        if (_last is { } last)
            letGo?.Invoke(last.Made);
        _last = null;
    }
}
