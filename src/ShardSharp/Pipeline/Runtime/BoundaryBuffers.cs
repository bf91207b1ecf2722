using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Memory for what other stages send, used again and again.</summary>
/// <param name="device">Where this rank computes.</param>
internal sealed class BoundaryBuffers(Device device) : IDisposable
{
    private readonly Dictionary<(ScalarType Type, string Shape), Stack<Tensor>> _free = [];
    private readonly HashSet<(ScalarType Type, string Shape)> _asked = [];
    private readonly Lock _gate = new();

    /// <summary>How many tensors it keeps for later.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _free.Values.Sum(fitting => fitting.Count);
        }
    }

    /// <summary>A tensor with any contents. May be called on any thread.</summary>
    public Tensor Rent(ScalarType type, long[] shape)
    {
        lock (_gate)
        {
            var key = KeyOf(type, shape);
            _asked.Add(key);
            if (_free.TryGetValue(key, out var fitting) && fitting.TryPop(out var buffer))
                return buffer;
        }

        return Allocate(type, shape);
    }

    /// <summary>A tensor with any contents that is not used again.</summary>
    public Tensor Allocate(ScalarType type, long[] shape) => empty(shape, type, device).DetachFromDisposeScope();

    /// <summary>Takes back a tensor that nobody reads any more.</summary>
    public void Return(Tensor buffer)
    {
        lock (_gate)
        {
            var key = KeyOf(buffer.dtype, buffer.shape);
            if (!_free.TryGetValue(key, out var fitting))
                _free[key] = fitting = [];
            fitting.Push(buffer);
        }
    }

    /// <summary>Frees buffers of shapes that nobody asked for since it was called before.</summary>
    public void Trim()
    {
        lock (_gate)
        {
            foreach (var key in _free.Keys.Where(key => !_asked.Contains(key)).ToArray())
            {
                _free.Remove(key, out var unused);
                foreach (var buffer in unused!)
                    buffer.Dispose();
            }

            _asked.Clear();
        }
    }

    public void Dispose()
    {
        _asked.Clear();
        Trim();
    }

    private static (ScalarType Type, string Shape) KeyOf(ScalarType type, long[] shape) => (type, string.Join(',', shape));
}
