using ShardSharp.Testing;
using ShardSharp.Topology;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>A rank's batches of a dataset.</summary>
public sealed class ShardedDataTests
{
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, false)]
    public void Gives_the_ranks_together_what_one_rank_gets(int ranks, bool dropLast)
    {
        // 30 samples in batches of 12: two full ones, and one of 6.
        var batches = new long[ranks][][];
        RankHarness.RunSessions(ranks, session =>
        {
            using var dataset = new NumberedPairs(30);
            batches[session.Rank] = Numbers(session.Shard(dataset, 12, shuffle: true, dropLast));
        });
        var whole = new ShardSharp.DataParallel.SampleOrder(30, 12, true, dropLast, 0).Of(0, 1, 0).Chunk(12);
        Assert.Equal(whole, batches[0].Select((_, batch) => batches.SelectMany(rank => rank[batch]).ToArray()));
    }

    [Fact]
    public void Counts_steps_and_samples() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(10);
        Assert.Equal((3, 3), (session.Shard(dataset, 3).Count, session.Shard(dataset, 3).BatchSize));
        Assert.Equal(4, session.Shard(dataset, 3, dropLast: false).Count);
    });

    [Theory]
    [InlineData(9, false)]
    [InlineData(9, true)]
    [InlineData(10, false)]
    [InlineData(10, true)]
    public void Ends_after_as_many_batches_as_it_counts(int samples, bool dropLast) => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(samples);
        var data = session.Shard(dataset, 3, shuffle: false, dropLast);
        Assert.Equal(data.Count, Numbers(data).Length);
    });

    [Fact]
    public void Takes_another_order_in_each_epoch_and_resumes_at_any() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(32);
        var data = session.Shard(dataset, 8);
        var epochs = Enumerable.Range(0, 3).Select(_ => Numbers(data)).ToArray();
        Assert.Equal(3, data.Epoch);
        Assert.NotEqual(epochs[0], epochs[1]);
        Assert.NotEqual(epochs[1], epochs[2]);

        var resumed = session.Shard(dataset, 8);
        resumed.Epoch = 2;
        Assert.Equal(epochs[2], Numbers(resumed));
    });

    [Fact]
    public void Follows_the_seed() => Assert.NotEqual(FirstEpoch(seed: 1), FirstEpoch(seed: 2));

    [Fact]
    public void Keeps_the_order_of_the_dataset_without_shuffle() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(6);
        Assert.Equal([[0, 1], [2, 3], [4, 5]], Numbers(session.Shard(dataset, 2, shuffle: false)));
    });

    [Fact]
    public void Stacks_pairs() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(4);
        foreach (var (inputs, labels) in session.Shard(dataset, 4, shuffle: false))
        {
            Assert.Equal([4, 1], inputs.shape);
            Assert.Equal([0, -1, -2, -3], labels.data<long>().ToArray());
        }
    });

    [Fact]
    public void Stacks_named_tensors_by_name() => OnOneRank(session =>
    {
        using var dataset = new NumberedNames(4);
        var batch = session.Shard(dataset, 2, shuffle: false).Skip(1).Select(
            tensors => tensors.ToDictionary(named => named.Key, named => named.Value.data<long>().ToArray())).Single();
        Assert.Equal(["number", "square"], batch.Keys.Order());
        Assert.Equal([2, 3], batch["number"]);
        Assert.Equal([4, 9], batch["square"]);
    });

    [Fact]
    public void Makes_batches_as_it_is_told() => OnOneRank(session =>
    {
        using var dataset = new NumberedTexts(4);
        var data = session.Shard(dataset, (texts, _) => string.Join(" and ", texts), globalBatchSize: 2, shuffle: false);
        Assert.Equal(["sample 0 and sample 1", "sample 2 and sample 3"], data);
    });

    [Fact]
    public void Disposes_a_batch_when_the_next_is_asked_for() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(4);
        using var named = new NumberedNames(4);
        var seen = new List<Tensor>();
        foreach (var (inputs, labels) in session.Shard(dataset, 2))
            See(seen, inputs, labels);
        foreach (var tensors in session.Shard(named, 2))
            See(seen, tensors["number"], tensors["square"]);
        Assert.Equal(8, seen.Count);
        Assert.All(seen, tensor => Assert.True(tensor.IsInvalid));
    });

    [Fact]
    public void Leaves_nothing_behind_after_an_epoch_or_a_part_of_one() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(20);
        var before = LiveTensors();
        foreach (var _ in session.Shard(dataset, 2))
        {
        }

        foreach (var _ in session.Shard(dataset, 2).Take(3))
        {
        }

        foreach (var (_, labels) in session.Shard(dataset, 2))
        {
            if (labels.numel() == 2)
                break;
        }

        Assert.Equal(before, LiveTensors());
    });

    [Fact]
    public void A_scope_around_one_batch_does_not_take_the_batch() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(6);
        using var batches = session.Shard(dataset, 2).GetEnumerator();
        Tensor inputs;
        using (NewDisposeScope())
        {
            Assert.True(batches.MoveNext());
            inputs = batches.Current.Inputs;
        }

        Assert.False(inputs.IsInvalid);
        Assert.True(batches.MoveNext());
        Assert.True(inputs.IsInvalid);
    });

    [Fact]
    public void Leaves_the_dataset_to_its_owner() => OnOneRank(session =>
    {
        using var dataset = new NumberedPairs(4);
        Assert.Equal(Numbers(session.Shard(dataset, 2, shuffle: false)), Numbers(session.Shard(dataset, 2, shuffle: false)));
    });

    [Fact]
    public void Refuses_at_once_what_the_ranks_cannot_share() => RankHarness.RunSessions(2, session =>
    {
        using var dataset = new NumberedPairs(4);
        Assert.Throws<ArgumentException>(() => session.Shard(dataset, 3));
    });

    private static void See(List<Tensor> seen, params ReadOnlySpan<Tensor> batch)
    {
        Assert.All(seen, tensor => Assert.True(tensor.IsInvalid));
        foreach (var tensor in batch)
        {
            Assert.False(tensor.IsInvalid);
            seen.Add(tensor);
        }
    }

    private static long[][] Numbers(IEnumerable<(Tensor Inputs, Tensor Labels)> data) =>
        [.. data.Select(batch => batch.Labels.data<long>().Select(label => -label).ToArray())];

    private static long[][] FirstEpoch(int seed)
    {
        long[][] numbers = [];
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var dataset = new NumberedPairs(16);
                numbers = Numbers(session.Shard(dataset, 4));
            },
            new ParallelConfiguration { Seed = seed });
        return numbers;
    }

    /// <summary>Tensors that this thread created and nobody has disposed.</summary>
    private static long LiveTensors() => DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

    private static void OnOneRank(Action<Session> program) => RankHarness.RunSessions(1, program);
}
