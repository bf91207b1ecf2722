using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// The buffers that a region changes, such as running means, as they were before it: computing it again begins with them, and leaves them as it
/// finds them.
/// </summary>
internal sealed class BufferState : IDisposable
{
    private readonly List<(Tensor Buffer, Tensor Before)> _buffers = [];

    /// <param name="modules">The region's modules, before they compute.</param>
    public BufferState(IEnumerable<nn.Module> modules)
    {
        using var _ = no_grad();
        foreach (var buffer in modules.SelectMany(module => module.buffers()))
            _buffers.Add((buffer, buffer.clone().DetachFromDisposeScope()));
    }

    /// <summary>Forgets what the region has not changed.</summary>
    public void KeepChanged()
    {
        using var scope = NewDisposeScope();
        foreach (var (buffer, before) in _buffers)
        {
            // By value: batch normalisation writes to its buffers without counting it.
            if (buffer.shape.SequenceEqual(before.shape) && buffer.eq(before).all().item<bool>())
                before.Dispose();
        }

        _buffers.RemoveAll(entry => entry.Before.IsInvalid);
    }

    /// <summary>
    /// Gives the buffers the values they had; the result, once disposed, the memory they have now. That is not writing to them, as autograd sees it: what a
    /// region computes with them serves a later backward too.
    /// </summary>
    public Return Replay()
    {
        var now = new List<(Tensor Buffer, Tensor Memory)>();
        foreach (var (buffer, before) in _buffers)
        {
            now.Add((buffer, buffer.detach().DetachFromDisposeScope()));
            using var copy = before.clone();
            TensorData.Set(buffer, copy);
        }

        return new Return(now);
    }

    public void Dispose()
    {
        foreach (var (_, before) in _buffers)
            before.Dispose();
    }

    /// <summary>The way back from a <see cref="Replay"/>.</summary>
    public readonly ref struct Return(List<(Tensor Buffer, Tensor Memory)>? buffers)
    {
        public void Dispose()
        {
            foreach (var (buffer, memory) in buffers ?? [])
            {
                TensorData.Set(buffer, memory);
                memory.Dispose();
            }
        }
    }
}
