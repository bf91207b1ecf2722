using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using Xunit;
using static ShardSharp.Tests.Communication.ConformanceData;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication;

/// <summary>Operations in the background, several at a time, and the tensors they hold.</summary>
internal static class BackgroundPrograms
{
    public static void Background_operations_complete_in_order_and_blocking_ones_do_not_overtake(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var tensor = full(100_000, (float)group.Rank);
        var works = new List<Work>();
        for (var i = 0; i < 5; i++)
            works.Add(group.AllReduceAsync(tensor, ReduceOperation.Max));
        var gathered = zeros(100_000L * ranks);
        works.Add(group.AllGatherAsync(gathered, tensor));
        group.AllReduce(tensor);
        if (group is NcclProcessGroup)
            Task.WaitAll(works.Select(work => work.Completion));
        Assert.All(works, work => Assert.True(work.IsCompleted));
        AssertSame(full(100_000L * ranks, ranks - 1f), gathered);
        AssertSame(full(100_000, (float)(ranks * (ranks - 1))), tensor);
    }

    public static void Background_operations_outlive_their_tensors(ProcessGroup group)
    {
        var ranks = group.Size;
        var output = zeros(1000L * ranks);
        Work work;
        using (NewDisposeScope())
            work = group.AllGatherAsync(output, full(1000, (float)group.Rank));
        work.Wait();
        AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(1000), output);
        output.Dispose();
    }

    public static void Overlapping_operations_of_random_sizes(ProcessGroup group)
    {
        var ranks = group.Size;
        using var scope = NewDisposeScope();
        var random = new Random(5);
        for (var i = 0; i < 60; i++)
        {
            var length = random.Next(200_000);
            var tensor = full(length, group.Rank + i);
            var gathered = zeros(length * ranks);
            var works = new[] { group.AllReduceAsync(tensor), group.AllGatherAsync(gathered, full(length, (float)group.Rank)) };
            if (random.Next(2) == 0)
                Task.WaitAll(works.Select(work => work.Completion));
            group.Barrier();
            AssertSame(full(length, (ranks * (ranks - 1) / 2f) + (ranks * i)), tensor);
            AssertSame(arange(ranks, ScalarType.Float32).repeat_interleave(length), gathered);
        }
    }
}
