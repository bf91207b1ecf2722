using ShardSharp.Checkpoints;
using ShardSharp.Modules;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>
/// Layouts of tensor and pipeline parallelism, each with sharding on top: ranks that hold ranges of a dimension, copies, and some of the layers.
/// </summary>
public sealed class DividedCheckpointTests
{
    private static readonly (string Name, long[] Shape, int? Dimension, int Blocks)[] Tensors =
    [
        ("embedding", [24, 8], 0, 1),
        ("attention.weight", [8, 24], 1, 3),
        ("attention.bias", [24], 0, 3),
        ("projection", [8, 8], 1, 1),
        ("norm", [8], null, 1),
        ("scale", [], null, 1),
        ("kernel", [3, 8, 5], 1, 1),
    ];

    /// <summary>Ranks of a tensor group, stages, copies of everything, and whether the copies own slices.</summary>
    private static readonly (int Tensor, int Stages, int Copies, bool Sharded)[] Layouts =
    [
        (1, 1, 1, false), (2, 1, 1, false), (4, 1, 1, false), (2, 1, 2, false), (2, 1, 2, true), (1, 1, 3, true), (1, 2, 1, false),
        (1, 3, 1, false), (2, 2, 1, false), (1, 2, 2, true), (2, 2, 2, true), (4, 1, 2, true),
    ];

    [Fact]
    public void Every_layout_loads_what_every_other_saved()
    {
        using var folder = new TemporaryFolder();
        foreach (var (i, layout) in Layouts.Index())
        {
            RankHarness.Run(layout.Tensor * layout.Stages * layout.Copies, group =>
            {
                using var scope = NewDisposeScope();
                var request = new SaveRequest(folder.Path, $"from-{i}", Partial: true, KeptPartial: null, Copies: false);
                CheckpointSave.Prepare(group, request, () => new SaveContents([.. Held(layout, group.Rank, filled: true)], [], [])).Write(group);
            });
        }

        foreach (var from in Layouts.Select((_, i) => folder[$"from-{i}_partial"]))
        {
            using var reader = CheckpointReader.Open(from);
            Assert.Empty(reader.Verify());
            foreach (var layout in Layouts)
            {
                for (var rank = 0; rank < layout.Tensor * layout.Stages * layout.Copies; rank++)
                {
                    using var scope = NewDisposeScope();
                    foreach (var (wanted, empty) in Held(layout, rank, filled: true).Zip(Held(layout, rank, filled: false)))
                    {
                        reader.Read(empty.Name, empty.Part, empty.Values);
                        Assert.True(empty.Values.eq(wanted.Values).all().item<bool>(), $"{from} -> {layout}, rank {rank}: {wanted.Name}");
                    }
                }
            }
        }
    }

    /// <summary>What a rank has: tensor ranks are neighbours, then copies, then stages.</summary>
    private static IEnumerable<HeldTensor> Held((int Tensor, int Stages, int Copies, bool Sharded) layout, int rank, bool filled)
    {
        var (tensorRank, copy, stage) = (rank % layout.Tensor, rank / layout.Tensor % layout.Copies, rank / layout.Tensor / layout.Copies);
        foreach (var (i, (name, shape, dimension, blocks)) in Tensors.Index())
        {
            // The norm is on all stages, as a tied parameter would be.
            if (i % layout.Stages != stage && name != "norm")
                continue;
            var whole = (arange(TensorPart.ElementsOf(shape), ScalarType.Float32) + (1000 * i)).reshape(shape);
            var parameter = dimension is { } divided
                ? ParameterLayout.Divided(shape, divided, Ranges(shape[divided], blocks, layout.Tensor, tensorRank))
                : ParameterLayout.Whole(shape);
            var values = parameter.Slice(whole).contiguous().reshape(-1);
            var (start, end) = layout.Sharded
                ? (values.numel() * copy / layout.Copies, values.numel() * (copy + 1) / layout.Copies)
                : (0L, values.numel());
            var own = values.narrow(0, start, end - start).clone();
            yield return new HeldTensor(name, TensorPart.Of(parameter, start, end - start), filled ? own : own.zero_());
        }
    }

    private static IndexRange[] Ranges(long size, int blocks, int ranks, int rank)
    {
        var block = size / blocks;
        return [.. Enumerable.Range(0, blocks).Select(i => new IndexRange((i * block) + (block * rank / ranks), block / ranks))];
    }
}
