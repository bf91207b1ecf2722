using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>The products that one forward of a region keeps, in the order in which it computes them.</summary>
/// <param name="products">Which ones.</param>
internal sealed class KeptOutputs(KeptProducts products) : IDisposable
{
    private readonly List<Output> _outputs = [];
    private int _next;

    /// <summary>Which layers' products are kept.</summary>
    public KeptProducts Products => products;

    /// <summary>Whether the next to take is the sum over ranks of the product taken last.</summary>
    public bool IsNextSum => _next > 0 && _next < _outputs.Count && _outputs[_next].IsSum;

    /// <summary>What stands for the value of the last product; null for itself.</summary>
    public double? LastStandIn { get; set; }

    /// <summary>Whether values stay when they have been taken.</summary>
    public bool IsTrial { get; set; }

    /// <summary>Whether a layer's product with an input is among them.</summary>
    public bool Keeps(Linear linear, Tensor input) => products.Contains(linear, input);

    /// <summary>Keeps a product.</summary>
    public void Add(Tensor product) => _outputs.Add(new Output(product));

    /// <summary>Keeps what ranks have made of their products, instead of the product, if that is the last one.</summary>
    public void AddSum(Tensor product, Tensor sum)
    {
        if (_outputs.Count == 0 || !_outputs[^1].IsOf(product))
            return;
        _outputs[^1].LetGo();
        _outputs.Add(new Output(sum) { IsSum = true });
    }

    /// <summary>Ends forward: from now on they are taken.</summary>
    public void EndForward()
    {
        if (products.IsLastUnused is true && _outputs.Count > 0)
            _outputs[^1].LetGo();
    }

    /// <summary>Begins with the first again.</summary>
    public void Rewind() => _next = 0;

    /// <summary>The next one, of the caller. Where its value is not known, since nothing needs it, it takes no memory.</summary>
    /// <exception cref="InvalidOperationException">There are no more.</exception>
    public Tensor Next()
    {
        if (_next == _outputs.Count)
        {
            throw new InvalidOperationException(
                $"A checkpointed module multiplied {_next} times when it was called, and more often when it computed again. What it does must depend on "
                + "nothing but its inputs; or use another strategy than selective for it.");
        }

        var output = _outputs[_next++];
        var isLast = _next == _outputs.Count;
        return output.Take(isLast ? LastStandIn : null, stays: IsTrial);
    }

    public void Dispose() => _outputs.ForEach(output => output.LetGo());

    private sealed class Output(Tensor value)
    {
        private readonly long[] _shape = value.shape;
        private readonly ScalarType _type = value.dtype;
        private readonly Device _device = value.device;
        private Tensor? _value = value.detach().DetachFromDisposeScope();

        /// <summary>Whether it is a sum over ranks of the one before.</summary>
        public bool IsSum { get; init; }

        public bool IsOf(Tensor tensor) =>
            _value is not null && tensor.numel() > 0 && TensorMemory.DataPointer(_value) == TensorMemory.DataPointer(tensor);

        public Tensor Take(double? standIn, bool stays)
        {
            // Not a number is noticed wherever the value is needed after all.
            if (_value is null || standIn is not null)
                return full(1, standIn ?? double.NaN, _type, _device).expand(_shape);
            var taken = _value.detach();
            if (!stays)
                LetGo();
            return taken;
        }

        public void LetGo()
        {
            _value?.Dispose();
            _value = null;
        }
    }
}
