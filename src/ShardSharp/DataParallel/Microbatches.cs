using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>A batch cut into equal parts along the first dimension of each of its tensors.</summary>
internal sealed class Microbatches
{
    private readonly IReadOnlyList<Tensor> _batch;
    private readonly long _length;

    public Microbatches(IReadOnlyList<Tensor> batch, int count)
    {
        ArgumentNullException.ThrowIfNull(batch);
        (_batch, Count) = (batch, count);
        if (count == 1)
            return;
        if (batch.Count == 0 || batch.Any(tensor => tensor.dim() == 0 || tensor.shape[0] != batch[0].shape[0]))
        {
            throw new ArgumentException($"Microbatches are cut along the first dimension, which must be the same for all tensors of a batch; given "
                + $"{string.Join(", ", batch.Select(tensor => $"[{string.Join(", ", tensor.shape)}]"))}.");
        }

        var samples = batch[0].shape[0];
        if (samples % count != 0 || samples == 0)
        {
            throw new ArgumentException($"microbatches = {count} does not divide the {samples} samples of this rank's batch. Values that do: "
                + $"{string.Join(", ", Enumerable.Range(1, (int)Math.Min(samples, 1024)).Where(divisor => samples % divisor == 0))}.");
        }

        _length = samples / count;
    }

    /// <summary>Number of parts.</summary>
    public int Count { get; }

    /// <summary>One part, as views of the batch's tensors.</summary>
    public IReadOnlyList<Tensor> Slice(int index) =>
        Count == 1 ? _batch : [.. _batch.Select(tensor => tensor.narrow(0, index * _length, _length))];
}
