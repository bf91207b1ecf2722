using ShardSharp.Checkpoints;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>Checkpoints of ranks that have parts of layers, some of the layers, or both.</summary>
[Collection(nameof(WholeProcess))]
public sealed class LayerLayoutTests
{
    private static readonly string[] Layouts = [.. LayerTraining.Layouts.Select(layout => layout.Name)];

    [Fact]
    public void Every_layout_loads_what_every_other_saved()
    {
        using var folder = new TemporaryFolder();
        foreach (var (i, layout) in Layouts.Index())
        {
            LayerTraining.Run(layout, session =>
            {
                using var training = new LayerTraining(session);
                training.Train(i, 1);
                session.SaveCheckpoint(folder.Path, $"from-{i}");
            });
        }

        using var scope = NewDisposeScope();
        var expected = Layouts.Select((_, i) => Contents(folder[$"from-{i}_partial"])).ToList();
        foreach (var layout in Layouts)
        {
            LayerTraining.Run(layout, session =>
            {
                using var training = new LayerTraining(session);
                foreach (var (i, from) in Layouts.Index())
                {
                    session.ResumeFromCheckpoint(folder.Path, $"from-{i}");
                    foreach (var tensor in training.Held())
                    {
                        using var wanted = zeros_like(tensor.Values);
                        TensorSlices.Copy(expected[i][tensor.Name], tensor with { Values = wanted });
                        Assert.True(tensor.Values.eq(wanted).all().item<bool>(), $"{from} -> {layout}: {tensor.Name}");
                    }
                }
            });
        }
    }

    [Theory]
    [InlineData("tensor 2, sharded 2")]
    [InlineData("stages 2, tensor 2")]
    public void Same_layout_same_bits(string layout)
    {
        using var folder = new TemporaryFolder();
        var (straight, end) = Straight(layout, folder, null);
        var (resumed, resumedEnd) = Resumed(layout, folder, partitionOf: layout.StartsWith("stages", StringComparison.Ordinal));
        Assert.Equal(straight, resumed);
        AssertEqual(end, resumedEnd, layout);
    }

    /// <summary>As if the costs that were measured at first had been others, so that the cut lies elsewhere than it would now.</summary>
    [Fact]
    public void A_partition_that_was_decided_otherwise_is_taken_over_from_the_checkpoint()
    {
        using var folder = new TemporaryFolder();
        var file = folder["partition.json"];
        var (straight, end) = Straight("stages 2", folder, file);
        var (resumed, resumedEnd) = Resumed("stages 2", folder, partitionOf: true);
        Assert.Equal(straight, resumed);
        AssertEqual(end, resumedEnd, "with the checkpoint's partition");

        var (otherwise, _) = Resumed("stages 2", folder, partitionOf: false);
        Assert.All(straight.Zip(otherwise), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        LayerTraining.Run("stages 4", session =>
        {
            using var training = new LayerTraining(session, folder.Path);
            Assert.Equal(4, training.Model.Pipeline!.Model.Partition.Stages.Count);
        });
    }

    private static (double[] Losses, Dictionary<string, byte[]> End) Straight(string layout, TemporaryFolder folder, string? partition)
    {
        var (losses, end) = (Array.Empty<double>(), new Dictionary<string, byte[]>());
        if (partition is not null)
            File.WriteAllText(partition, Lopsided());
        LayerTraining.Run(
            layout,
            session =>
            {
                using var training = new LayerTraining(session);
                training.Train(0, 3);
                session.SaveCheckpoint(folder.Path);
                var after = training.Train(3, 3);
                var state = training.State();
                if (session.IsFirstRank)
                    (losses, end) = (after, state);
            },
            configuration => configuration with { PipelinePartitionFile = partition });
        return (losses, end);
    }

    private static (double[] Losses, Dictionary<string, byte[]> End) Resumed(string layout, TemporaryFolder folder, bool partitionOf)
    {
        var (losses, end) = (Array.Empty<double>(), new Dictionary<string, byte[]>());
        LayerTraining.Run(layout, session =>
        {
            using var training = new LayerTraining(session, partitionOf ? folder.Path : null);
            var resumed = session.ResumeFromCheckpoint(folder.Path)!;
            Assert.Equal(partitionOf || layout != "stages 2", resumed.IsCutAlike);
            var after = training.Train(3, 3);
            var state = training.State();
            if (session.IsFirstRank)
                (losses, end) = (after, state);
        });
        return (losses, end);
    }

    /// <summary>All of the model but its head on the first stage, by the names of the parts in a checkpoint.</summary>
    private static string Lopsided()
    {
        var text = "";
        LayerTraining.Run("stages 2", session =>
        {
            using var training = new LayerTraining(session);
            var partition = training.Model.Pipeline!.Model.Partition;
            if (session.IsFirstRank)
                text = PipelinePartitionFile.Format(PipelinePartition.Of(partition.Layers, [partition.Layers.Count - 1, 1], 0.8));
        });
        return text;
    }

    private static Dictionary<string, Tensor> Contents(string checkpoint)
    {
        using var reader = CheckpointReader.Open(checkpoint);
        return reader.Index.Tensors.Select(tensor => tensor.Name).Where(name => !name.StartsWith("random/", StringComparison.Ordinal))
            .ToDictionary(name => name, reader.Read);
    }

    private static void AssertEqual(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> actual, string what)
    {
        Assert.True(expected.Count > 50 && expected.Keys.Order().SequenceEqual(actual.Keys.Order()), $"{what}: {string.Join(", ", actual.Keys)}");
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.AsSpan().SequenceEqual(actual[name]), $"{what}: {name} differs");
    }
}
