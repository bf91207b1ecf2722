using System.Text.RegularExpressions;
using CsCheck;
using ShardSharp.DataParallel;
using ShardSharp.Tests.Topology;
using ShardSharp.Topology;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Which samples make up which batch, for any number of ranks.</summary>
public sealed class SampleOrderTests
{
    private sealed record Case(int Ranks, int Share, int FullBatches, int Tail, bool Shuffle, bool DropLast, int Seed, int Epoch)
    {
        public int GlobalBatch => Ranks * Share;

        public long Samples => (FullBatches * GlobalBatch) + (DropLast ? Tail % GlobalBatch : Tail % Share * Ranks);

        public SampleOrder Order => new(Samples, GlobalBatch, Shuffle, DropLast, Seed);

        public long[] Of(int rank) => [.. Order.Of(rank, Ranks, Epoch)];

        public long[] Whole => [.. Order.Of(0, 1, Epoch)];
    }

    private static readonly Gen<Case> Cases = Gen.Select(
        Gen.Int[1, 9], Gen.Int[1, 6], Gen.Int[1, 5], Gen.Int[0, 60], Gen.Bool, Gen.Bool, Gen.Int, Gen.Int[0, 1000],
        (ranks, share, batches, tail, shuffle, drop, seed, epoch) => new Case(ranks, share, batches, tail, shuffle, drop, seed, epoch));

    [Fact]
    public void Ranks_together_take_the_batches_of_one_rank() => Cases.Sample(order =>
    {
        var parts = Enumerable.Range(0, order.Ranks).Select(order.Of).ToArray();
        var joined = new List<long>();
        for (var batch = 0; batch < order.Order.Batches; batch++)
        {
            foreach (var part in parts)
                joined.AddRange(part.Skip(batch * order.Share).Take(order.Share));
        }

        Assert.Equal(order.Whole, joined);
        Assert.All(parts, part => Assert.Equal(parts[0].Length, part.Length));
    });

    [Fact]
    public void An_epoch_has_each_sample_once_except_a_dropped_tail() => Cases.Sample(order =>
    {
        var whole = order.Whole;
        Assert.Equal(order.DropLast ? order.Samples / order.GlobalBatch * order.GlobalBatch : order.Samples, whole.Length);
        Assert.Equal(whole.Length, whole.Distinct().Count());
        Assert.All(whole, sample => Assert.InRange(sample, 0, order.Samples - 1));
        if (!order.Shuffle)
            Assert.Equal(Enumerable.Range(0, whole.Length).Select(index => (long)index), whole);
    });

    [Fact]
    public void Number_of_batches_counts_a_kept_tail() => Cases.Sample(order => Assert.Equal(
        order.FullBatches + (!order.DropLast && order.Samples % order.GlobalBatch > 0 ? 1 : 0), order.Order.Batches));

    [Fact]
    public void Follows_from_seed_and_epoch_alone() => Cases.Sample(order => Assert.Equal(order.Whole, (order with { }).Whole));

    [Fact]
    public void Differs_between_epochs_and_seeds() => Cases.Where(order => order.Shuffle && order.Samples >= 16).Sample(order =>
    {
        Assert.NotEqual(order.Whole, (order with { Epoch = order.Epoch + 1 }).Whole);
        Assert.NotEqual(order.Whole, (order with { Seed = order.Seed ^ 1 }).Whole);
    });

    [Fact]
    public void Shuffles_all_orders_alike()
    {
        // 24 orders of 4 samples over 24000 epochs: each comes about 1000 times, with a deviation of 31.
        var counts = Enumerable.Range(0, 24_000)
            .CountBy(epoch => string.Join(",", new SampleOrder(4, 4, shuffle: true, dropLast: true, seed: 5).Of(0, 1, epoch)))
            .ToDictionary();
        Assert.Equal(24, counts.Count);
        Assert.All(counts.Values, count => Assert.InRange(count, 850, 1150));
    }

    [Fact]
    public void Ranks_of_one_copy_of_the_model_take_the_same_samples()
    {
        foreach (var layout in Factorings.All().Where(layout => layout.WorldSize is 8 or 12))
        {
            var copies = layout.SizeOf(GroupKind.ReducedData);
            var order = new SampleOrder(3 * copies, copies, shuffle: true, dropLast: true, seed: 1);
            foreach (var copy in layout.Groups(GroupKind.Model))
            {
                var samples = copy.Select(rank => order.Of(layout.RankIn(GroupKind.ReducedData, rank), copies, 0)).ToArray();
                Assert.All(samples, own => Assert.Equal(samples[0], own));
            }
        }
    }

    [Theory]
    [InlineData(100, 7, 2, true)]
    [InlineData(100, 0, 3, true)]
    [InlineData(100, 2, 3, true)]
    public void Refuses_a_batch_that_ranks_cannot_share_and_names_one_that_they_can(int samples, int batch, int ranks, bool dropLast)
    {
        var wrong = Assert.Throws<ArgumentException>(() => new SampleOrder(samples, batch, false, dropLast, 0).ShareOf(ranks));
        var better = int.Parse(Regex.Match(wrong.Message, @"such as (\d+)").Groups[1].ValueSpan, null);
        Assert.True(new SampleOrder(samples, better, false, dropLast, 0).ShareOf(ranks) > 0);
    }

    [Fact]
    public void Refuses_a_batch_larger_than_the_dataset_and_names_the_largest()
    {
        var wrong = Assert.Throws<ArgumentException>(() => new SampleOrder(7, 8, false, dropLast: true, 0).ShareOf(2));
        Assert.Contains("use at most 6", wrong.Message, StringComparison.Ordinal);
        Assert.Equal(3, new SampleOrder(7, 6, false, dropLast: true, 0).ShareOf(2));
    }

    [Theory]
    [InlineData(11, 4, 2, true)]
    [InlineData(3, 4, 2, false)]
    public void Refuses_a_tail_that_ranks_cannot_share_and_says_what_works(int samples, int batch, int ranks, bool droppable)
    {
        var wrong = Assert.Throws<ArgumentException>(() => new SampleOrder(samples, batch, false, dropLast: false, 0).ShareOf(ranks));
        Assert.Equal(droppable, wrong.Message.Contains("dropLast: true", StringComparison.Ordinal));
        if (droppable)
            Assert.Equal(batch / ranks, new SampleOrder(samples, batch, false, dropLast: true, 0).ShareOf(ranks));
        var surplus = int.Parse(Regex.Match(wrong.Message, @"leave (\d+) out").Groups[1].ValueSpan, null);
        Assert.Equal(batch / ranks, new SampleOrder(samples - surplus, batch, false, dropLast: false, 0).ShareOf(ranks));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Refuses_fewer_samples_than_ranks(bool dropLast)
    {
        var wrong = Assert.Throws<ArgumentException>(() => new SampleOrder(3, 4, false, dropLast, 0).ShareOf(4));
        Assert.Contains("3 samples are too few for 4", wrong.Message, StringComparison.Ordinal);
    }
}
