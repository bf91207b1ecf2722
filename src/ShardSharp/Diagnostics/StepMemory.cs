using ShardSharp.Native;

namespace ShardSharp.Diagnostics;

/// <summary>Measures what a step takes for a time beside what stays, by the tensor allocator's high-water mark.</summary>
/// <remarks>
/// In forward that is what was added at the peak. During backward gradients come while activations go, so there it is what the peak lies above
/// the end. Tensors below <see cref="AllocatorCode.SmallestBlock"/> are not counted. Ranks that are threads of one process share the
/// allocator: what they hold at the same time adds up.
/// </remarks>
internal sealed class StepMemory
{
    private static int _measuring;

    private long _current;

    /// <summary>The most that a microbatch of the latest step took, in bytes; null before the first step.</summary>
    public long? Activations { get; private set; }

    public void BeginStep() => _current = 0;

    public void EndStep() => Activations = _current;

    /// <summary>Measures a microbatch, until the result is disposed at the end of its backward.</summary>
    public Microbatch BeginMicrobatch()
    {
        if (Interlocked.Increment(ref _measuring) == 1)
            TensorAllocator.ResetPeak();
        return new Microbatch(this, TensorAllocator.BytesInUse);
    }

    private void Saw(long bytes) => _current = Math.Max(_current, bytes);

    /// <summary>One microbatch of a step.</summary>
    public readonly ref struct Microbatch(StepMemory step, long start)
    {
        public void ForwardEnded() => step.Saw(TensorAllocator.PeakBytes - start);

        public void Dispose()
        {
            step.Saw(TensorAllocator.PeakBytes - TensorAllocator.BytesInUse);
            Interlocked.Decrement(ref _measuring);
        }
    }
}
