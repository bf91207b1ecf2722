using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>Puts back what a forward changes beside its outputs: the random generator, and buffers such as the means of batch normalisation.</summary>
internal sealed class UntouchedState : IDisposable
{
    private readonly Tensor _random = get_rng_state().DetachFromDisposeScope();
    private readonly (Tensor Buffer, Tensor Saved)[] _buffers;

    public UntouchedState(nn.Module model) =>
        _buffers = [.. model.buffers().Select(buffer => (buffer, buffer.detach().clone().DetachFromDisposeScope()))];

    public void Dispose()
    {
        using var _ = no_grad();
        set_rng_state(_random);
        _random.Dispose();
        foreach (var (buffer, saved) in _buffers)
        {
            buffer.copy_(saved);
            saved.Dispose();
        }
    }
}
