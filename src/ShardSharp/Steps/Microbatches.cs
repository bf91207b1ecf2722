using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>A batch cut into parts, along the first dimension of each of its tensors unless said otherwise.</summary>
internal sealed class Microbatches
{
    private readonly IReadOnlyList<Tensor> _batch;
    private readonly int?[] _dimensions;
    private readonly long _samples;

    /// <param name="batch">The tensors.</param>
    /// <param name="count">Number of parts.</param>
    /// <param name="dimensionOf">The dimension along which a tensor is cut, by its index; null for one that every part has whole.</param>
    /// <param name="uneven">Whether parts may differ by one sample, and be fewer where there are fewer samples.</param>
    public Microbatches(IReadOnlyList<Tensor> batch, int count, Func<int, int?>? dimensionOf = null, bool uneven = false)
    {
        ArgumentNullException.ThrowIfNull(batch);
        (_batch, Count) = (batch, count);
        _dimensions = [.. batch.Select((_, i) => dimensionOf is null ? 0 : dimensionOf(i))];
        if (count == 1 && !uneven)
            return;
        var cut = batch.Zip(_dimensions).Where(pair => pair.Second is not null).ToArray();
        if (cut.Length == 0 || cut.Any(pair => pair.First.dim() <= pair.Second || pair.First.shape[pair.Second!.Value] != Samples(cut[0])))
        {
            var along = dimensionOf is null ? "the first dimension" : "the dimensions chosen for them";
            throw new ArgumentException($"Microbatches are cut along {along}, which must be the same for all tensors of a batch; given "
                + $"{string.Join(", ", batch.Select(tensor => $"[{string.Join(", ", tensor.shape)}]"))}.");
        }

        _samples = Samples(cut[0]);
        if (_samples == 0 || (!uneven && _samples % count != 0))
        {
            throw new ArgumentException($"microbatches = {count} does not divide the {_samples} samples of this rank's batch. Values that do: "
                + $"{string.Join(", ", Enumerable.Range(1, (int)Math.Min(_samples, 1024)).Where(divisor => _samples % divisor == 0))}. Batch sizes that work: "
                + $"multiples of {count}; others with StepOptions.Uneven.");
        }

        Count = (int)Math.Min(count, _samples);

        static long Samples((Tensor Tensor, int? Dimension) cut) => cut.Tensor.shape[cut.Dimension!.Value];
    }

    /// <summary>Number of parts.</summary>
    public int Count { get; }

    /// <summary>The number of samples of each part, where they may differ.</summary>
    public IReadOnlyList<double> Sizes => [.. Enumerable.Range(0, Count).Select(index => (double)(Start(index + 1) - Start(index)))];

    /// <summary>One part, as views of the batch's tensors.</summary>
    public IReadOnlyList<Tensor> Slice(int index) => Count == 1
        ? _batch
        : [.. _batch.Zip(_dimensions, (tensor, dimension) => dimension is { } along ? tensor.narrow(along, Start(index), Start(index + 1) - Start(index)) : tensor)];

    /// <summary>The larger parts come first.</summary>
    private long Start(int index) => (index * (_samples / Count)) + Math.Min(index, _samples % Count);
}
