using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>The products of matrices of one forward of a region, in the order in which it computes them, and the values of those that it keeps.</summary>
/// <param name="products">Which ones.</param>
internal sealed class KeptOutputs(KeptProducts products) : IDisposable
{
    private readonly List<Output> _outputs = [];
    private int _lastProduct = -1;
    private int _next;

    /// <summary>Which layers' products they are.</summary>
    public KeptProducts Products => products;

    /// <summary>Whether there are any.</summary>
    public bool Any => _lastProduct >= 0;

    /// <summary>What stands for the value of the last product, to find out whether it is needed; null for itself.</summary>
    public double? LastStandIn { get; set; }

    /// <summary>Bytes of the values that are kept, those left out that nothing needs.</summary>
    public long Bytes => _outputs.Take(products.IsLastUnused is true ? _lastProduct : _outputs.Count).Sum(output => output.Bytes);

    /// <summary>The values that are kept, which lie elsewhere once they are set to what lies there.</summary>
    public IReadOnlyList<Tensor> Values
    {
        get => [.. _outputs.Select(output => output.Value).OfType<Tensor>()];
        set
        {
            foreach (var (output, lying) in _outputs.Where(output => output.Value is not null).Zip(value))
                output.Replace(lying);
        }
    }

    /// <summary>Whether values stay when they have been taken.</summary>
    public bool IsTrial { get; set; }

    /// <summary>Whether nobody has written to them since they were kept.</summary>
    public bool AreUnchanged => _outputs.TrueForAll(output => output.IsUnchanged);

    /// <summary>Whether a layer's product with an input is among them.</summary>
    public bool Includes(Linear linear, Tensor input) => products.Includes(linear, input);

    /// <summary>Notes a layer's product, and keeps it if it is one of those.</summary>
    public void Add(Linear linear, Tensor product)
    {
        _lastProduct = _outputs.Count;
        _outputs.Add(new Output(product, products.Keeps(linear)));
    }

    /// <summary>Notes what ranks have made of their products, if it is of the last one, and keeps it instead.</summary>
    public void AddSum(Tensor product, Tensor sum)
    {
        if (_outputs.Count == 0 || !_outputs[^1].IsOf(product))
            return;
        _outputs[^1].GiveWayToSum();
        _outputs.Add(new Output(sum, _outputs[^1].IsKept) { IsSum = true });
    }

    /// <summary>Ends forward: from now on they are taken.</summary>
    public void EndForward()
    {
        if (products.IsLastUnused is true && Any)
            _outputs[^1].LetGo();
    }

    /// <summary>Begins with the first again.</summary>
    public void Rewind() => _next = 0;

    /// <summary>The next product, of the caller; something else where nothing needs its value; null where it has to be computed.</summary>
    /// <exception cref="InvalidOperationException">There are no more.</exception>
    public Tensor? TakeProduct()
    {
        if (_next == _outputs.Count)
        {
            throw new InvalidOperationException(
                $"A checkpointed module multiplied {_next} times when it was called, and more often when it computed again. What it does must depend on "
                + "nothing but its inputs; or leave it out of activation checkpointing.");
        }

        return Take(_next++);
    }

    /// <summary>The sum over ranks of the product that was taken last; null where it has to be computed.</summary>
    public Tensor? TakeSum() => _next > 0 && _next < _outputs.Count && _outputs[_next].IsSum ? Take(_next++) : null;

    public void Dispose() => _outputs.ForEach(output => output.LetGo());

    private Tensor? Take(int index)
    {
        var output = _outputs[index];

        // Not a number is noticed where the value is needed after all.
        if (index >= _lastProduct && (products.IsLastUnused is true || LastStandIn is not null))
            return output.StandIn(LastStandIn ?? double.NaN);
        return output.IsKept ? output.Take(stays: IsTrial) : null;
    }

    private sealed class Output(Tensor value, bool isKept)
    {
        private readonly long[] _shape = value.shape;
        private readonly ScalarType _type = value.dtype;
        private readonly Device _device = value.device;
        private readonly nint _address = value.numel() == 0 ? 0 : TensorMemory.DataPointer(value);
        private readonly long _version = TensorVersion.Of(value);
        private Tensor? _value = isKept ? value.detach().DetachFromDisposeScope() : null;
        private bool _isSummed;

        public bool IsKept => isKept;

        public Tensor? Value => _value;

        /// <summary>Whether it is a sum over ranks of the one before.</summary>
        public bool IsSum { get; init; }

        public long Bytes => _value is null ? 0 : TensorBytes.Of(_value);

        public bool IsUnchanged => _value is null || TensorVersion.Of(_value) == _version;

        public bool IsOf(Tensor tensor) => _address != 0 && !IsSum && TensorMemory.DataPointer(tensor) == _address;

        /// <summary>Of what is summed nobody looks at more than the shape.</summary>
        public Tensor StandIn(double value) =>
            _isSummed ? full(1, value, _type, _device).expand(_shape) : full(_shape, value, _type, _device);

        public Tensor Take(bool stays)
        {
            if (_isSummed)
                return StandIn(double.NaN);
            var taken = _value!.detach();
            if (!stays)
                LetGo();
            return taken;
        }

        public void Replace(Tensor value)
        {
            if (ReferenceEquals(value, _value))
                return;
            LetGo();
            _value = value.DetachFromDisposeScope();
        }

        public void GiveWayToSum()
        {
            _isSummed = true;
            LetGo();
        }

        public void LetGo()
        {
            _value?.Dispose();
            _value = null;
        }
    }
}
