using System.Diagnostics;
using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>Times each collective on float32 tensors of several sizes.</summary>
internal sealed class CollectivesBenchmark(ProcessGroup group, string backend)
{
    private static readonly int[] Kibibytes = [4, 64, 1024, 16384, 131072];
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    public IEnumerable<CollectiveResult> Run()
    {
        foreach (var kib in Kibibytes)
        {
            using var scope = NewDisposeScope();
            var elements = kib * 1024L / sizeof(float);
            // The part of a rank; where ranks do not divide the buffer, a little less than the buffer is communicated.
            var part = elements / group.Size;
            Tensor whole = ones(elements), sharded = ones(part * group.Size), received = zeros(part * group.Size), mine = ones(part);

            // Sums of sums soon are infinite, which adds as fast as any other number.
            yield return Time("all_reduce", kib, () => group.AllReduce(whole));
            yield return Time("all_gather", kib, () => group.AllGather(sharded, mine));
            yield return Time("reduce_scatter", kib, () => group.ReduceScatter(mine, sharded));
            yield return Time("all_to_all", kib, () => group.AllToAll(received, sharded));
            if (group.Size > 1)
                yield return Time("send_recv", kib, () => SendAndReceive(whole));
        }
    }

    /// <summary>Each even rank sends to the odd one after it; a last rank without a partner waits at the next barrier.</summary>
    private void SendAndReceive(Tensor tensor)
    {
        if (group.Rank % 2 == 1)
            group.Receive(tensor, group.Rank - 1);
        else if (group.Rank + 1 < group.Size)
            group.Send(tensor, group.Rank + 1);
    }

    private CollectiveResult Time(string operation, int kib, Action call)
    {
        // The first calls touch fresh memory and have code compiled; they also tell how many calls fit into the budget.
        const int Warmup = 3;
        for (var i = 0; i < Warmup; i++)
            call();
        var once = Once(call);
        Span<double> seconds = [once.TotalSeconds];
        group.AllReduce(seconds, ReduceOperation.Max);
        var repetitions = (int)Math.Clamp(Budget.TotalSeconds / seconds[0], 5, 2000);

        double[] microseconds = [.. Enumerable.Range(0, repetitions).Select(_ => Once(call).TotalMicroseconds)];
        // A collective has ended when it has ended on all ranks.
        group.AllReduce(microseconds.AsSpan(), ReduceOperation.Max);
        var median = Median.Of(microseconds);
        return new CollectiveResult(
            backend, group.Size, operation, kib, Math.Round(median, 2), Math.Round(kib * 1024 / median / 1000, 3));
    }

    /// <summary>Times one call that all ranks begin together.</summary>
    private TimeSpan Once(Action call)
    {
        group.Barrier();
        var began = Stopwatch.GetTimestamp();
        call();
        return Stopwatch.GetElapsedTime(began);
    }
}
