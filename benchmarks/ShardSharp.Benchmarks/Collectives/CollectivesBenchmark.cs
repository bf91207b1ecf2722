using System.Diagnostics;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>Times each collective on float32 tensors of several sizes.</summary>
/// <param name="ranks">What is timed.</param>
/// <param name="backend">What it is called in the results.</param>
/// <param name="plan">Sizes and patience.</param>
internal sealed class CollectivesBenchmark(ICollectives ranks, string backend, CollectivesPlan plan)
{
    private const int MostCalls = 100_000;

    /// <param name="create">Gives the tensors of a size, made in a dispose scope of its own.</param>
    public IEnumerable<CollectiveResult> Run(Func<int, BenchmarkTensors> create)
    {
        using (NewDisposeScope())
            WarmUp.LetCompile([.. Operations(create(plan.Kibibytes.Min())).Select<(string, Action Call), Action>(operation => () => Repeat(operation.Call, 200))]);
        foreach (var kib in plan.Kibibytes)
        {
            using var scope = NewDisposeScope();
            foreach (var (name, call) in Operations(create(kib)))
                yield return Time(name, kib, call);
        }
    }

    private IEnumerable<(string Name, Action Call)> Operations(BenchmarkTensors tensors)
    {
        // Sums of sums soon are infinite, which adds as fast as any other number.
        yield return ("all_reduce", () => ranks.AllReduce(tensors.Whole));
        yield return ("all_gather", () => ranks.AllGather(tensors.Gathered, tensors.Mine));
        yield return ("reduce_scatter", () => ranks.ReduceScatter(tensors.Reduced, tensors.Shares));
        yield return ("all_to_all", () => ranks.AllToAll(tensors.Received, tensors.Shares));
        if (ranks.Size > 1)
            yield return ("send_recv", () => SendAndReceive(tensors.Whole));
    }

    /// <summary>Each even rank sends to the odd one after it; a last rank without a partner waits at the next barrier.</summary>
    private void SendAndReceive(Tensor tensor)
    {
        if (ranks.Rank % 2 == 1)
            ranks.Receive(tensor, ranks.Rank - 1);
        else if (ranks.Rank + 1 < ranks.Size)
            ranks.Send(tensor, ranks.Rank + 1);
    }

    private CollectiveResult Time(string operation, int kib, Action call)
    {
        // The first calls touch fresh memory; the next tell how many fit into the time.
        Repeat(call, 3);
        var once = Repeat(call, 3).Max();
        return CollectiveResult.Of(backend, ranks.Size, operation, kib, Median.Of(Repeat(call, Calls(once, plan.Seconds, atLeast: 5))));
    }

    private static int Calls(double microseconds, double seconds, int atLeast) =>
        (int)Math.Clamp(seconds * 1e6 / microseconds, atLeast, MostCalls);

    /// <summary>Times calls that all ranks begin together. Microseconds: a collective has ended when it has ended on all ranks.</summary>
    private double[] Repeat(Action call, int times)
    {
        double[] microseconds = [.. Enumerable.Range(0, times).Select(_ => Once(call) * 1e6 / Stopwatch.Frequency)];
        ranks.TakeLargest(microseconds);
        return microseconds;
    }

    private long Once(Action call)
    {
        ranks.Barrier();
        var began = Stopwatch.GetTimestamp();
        call();
        return Stopwatch.GetTimestamp() - began;
    }
}
