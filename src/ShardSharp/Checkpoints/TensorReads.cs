using System.Runtime.ExceptionServices;

namespace ShardSharp.Checkpoints;

/// <summary>Reads many tensors of a checkpoint on several threads: copying out of the page cache and checking take a core each.</summary>
internal static class TensorReads
{
    /// <summary>Bytes a thread reads at a time of a larger tensor.</summary>
    private const long PieceBytes = 8 << 20;

    /// <param name="reader">The checkpoint.</param>
    /// <param name="wanted">Which elements of which tensors, and where they go.</param>
    /// <param name="threads">How many threads, this one included.</param>
    /// <inheritdoc cref="CheckpointReader.Read(string, TensorPart, TorchSharp.torch.Tensor)" path="/exception"/>
    public static void Run(CheckpointReader reader, IEnumerable<HeldTensor> wanted, int threads)
    {
        var pieces = wanted.SelectMany(tensor => Pieces(reader, tensor)).ToList();
        var (next, failure) = (-1, (Exception?)null);
        var workers = Math.Min(threads, pieces.Count);
        if (workers > 1)
            Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, _ => Work());
        else
            Work();
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);

        void Work()
        {
            try
            {
                while (Volatile.Read(ref failure) is null && Interlocked.Increment(ref next) is var i && i < pieces.Count)
                    pieces[i]();
            }
            catch (Exception thrown)
            {
                Interlocked.CompareExchange(ref failure, thrown, null);
            }
        }
    }

    /// <summary>A large tensor in several pieces if it can be read straight into its memory, otherwise as one.</summary>
    private static IEnumerable<Action> Pieces(CheckpointReader reader, HeldTensor tensor)
    {
        if (tensor.Part.Count == 0)
            yield break;
        if (!reader.ReadsInPlace(tensor.Name, tensor.Values))
        {
            yield return () => reader.Read(tensor.Name, tensor.Part, tensor.Values);
            yield break;
        }

        var count = PieceBytes / tensor.Values.element_size();
        for (long start = 0; start < tensor.Part.Count; start += count)
        {
            var (from, length) = (start, Math.Min(count, tensor.Part.Count - start));
            yield return () => reader.ReadInPlace(tensor, from, length);
        }
    }
}
