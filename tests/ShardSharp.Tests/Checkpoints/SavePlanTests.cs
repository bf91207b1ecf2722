using CsCheck;
using ShardSharp.Checkpoints;
using ShardSharp.Modules;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>Whatever ranks have in common, everything is written once, and by nobody much more than by others.</summary>
public sealed class SavePlanTests
{
    [Fact]
    public void Everything_is_written_once_by_a_rank_that_has_it() =>
        Gen.Select(Gen.Int, Gen.Int[1, 6], Gen.Int[1, 5], Gen.OneOf(Gen.Const(1L), Gen.Const(40L), Gen.Const(SavePlan.SmallestPiece))).Sample(
            (seed, ranks, tensors, smallest) =>
            {
                var random = new Random(seed);
                var held = Enumerable.Range(0, ranks).Select(_ => new List<HeldPart>()).ToArray();
                foreach (var tensor in Enumerable.Range(0, tensors))
                    Deal($"t{tensor}", held, random);

                var plan = SavePlan.Create(held, smallest);

                foreach (var part in plan)
                {
                    Assert.Contains(held[part.Rank], own =>
                        own.Name == part.Name && own.ToPart().Layout == part.Part.Layout && own.Start <= part.Part.Start
                        && own.Start + own.Count >= part.Part.End);
                }

                // That nothing is missing or there twice is checked by the plan itself.
                Assert.Equal(
                    held.SelectMany(parts => parts).Where(part => part.Count > 0).Select(part => part.Name).Distinct().Order(),
                    plan.Select(part => part.Name).Distinct().Order());
            },
            iter: 1000);

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Copies_are_written_in_equal_shares(int ranks)
    {
        HeldPart[] all = [.. Enumerable.Range(0, 7).Select(i => Whole($"t{i}", 100_000 + (i * 50_000)))];
        var plan = SavePlan.Create([.. Enumerable.Repeat(all, ranks)]);

        var bytes = plan.GroupBy(part => part.Rank).Select(parts => parts.Sum(part => part.Bytes)).ToList();
        Assert.Equal(ranks, bytes.Count);
        Assert.True(bytes.Max() - bytes.Min() <= 2 * SavePlan.SmallestPiece, string.Join(", ", bytes));
        Assert.All(plan, part => Assert.True(part.Part.IsWhole || part.Bytes >= SavePlan.SmallestPiece));
    }

    [Fact]
    public void Ranks_that_disagree_about_a_tensor_are_named()
    {
        var failure = Assert.Throws<InvalidOperationException>(() => SavePlan.Create([[Whole("w", 8)], [Whole("w", 9)]]));
        Assert.Equal(
            "Tensor w is F32 of shape [8] on rank 0 and F32 of shape [9] on rank 1. All ranks must have the same model.", failure.Message);
    }

    [Fact]
    public void A_tensor_that_no_rank_has_the_end_of_is_named()
    {
        var failure = Assert.Throws<InvalidOperationException>(() => SavePlan.Create([[Whole("w", 8) with { Count = 5 }]]));
        Assert.Equal("The ranks together do not have the whole of tensor w: elements 5 to 8 are missing.", failure.Message);
    }

    private static HeldPart Whole(string name, long elements) => new(name, "F32", [elements], null, [], 0, elements);

    /// <summary>Gives ranks a tensor in one of the ways in which parallelism does, some with copies.</summary>
    private static void Deal(string name, List<HeldPart>[] held, Random random)
    {
        long[] shape = [random.Next(1, 7), random.Next(1, 7)];
        var tensorRanks = random.Next(1, Math.Min(held.Length, (int)shape[1]) + 1);
        for (var rank = 0; rank < held.Length; rank++)
        {
            // Neighbours share the dimension; those that have the same part of it each own a slice, or have copies.
            var (slice, of) = (rank / tensorRanks, (held.Length + tensorRanks - 1 - (rank % tensorRanks)) / tensorRanks);
            var first = shape[1] * (rank % tensorRanks) / tensorRanks;
            var width = (shape[1] * ((rank % tensorRanks) + 1) / tensorRanks) - first;
            var part = new TensorPart(shape, 1, [new IndexRange(first, width)], 0, shape[0] * width);
            var (start, end) = (part.Count * slice / of, part.Count * (slice + 1) / of);
            held[rank].Add(HeldPart.Of(name, "F32", name.EndsWith('0') ? part : part.Run(start, end - start)));
        }
    }
}
