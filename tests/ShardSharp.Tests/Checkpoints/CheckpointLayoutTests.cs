using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>What ranks in one layout save, ranks in any other load, bit by bit: weights and the optimizer's state.</summary>
public sealed class CheckpointLayoutTests
{
    [Fact]
    public void Every_layout_loads_what_every_other_saved()
    {
        using var folder = new TemporaryFolder();
        string[] layouts = [.. CheckpointTraining.Layouts.Select(layout => layout.Name)];
        foreach (var (i, layout) in layouts.Index())
        {
            CheckpointTraining.Run(layout, session =>
            {
                using var training = new CheckpointTraining(session);
                training.Train(1 + (i % 3));
                session.SaveCheckpoint(folder.Path, $"from-{i}", scheduler: training.Scheduler);
            });
        }

        var expected = layouts.Select((_, i) => Contents(folder[$"from-{i}_partial"])).ToList();
        foreach (var layout in layouts)
        {
            CheckpointTraining.Run(layout, session =>
            {
                using var training = new CheckpointTraining(session);
                foreach (var (i, from) in layouts.Index())
                {
                    session.ResumeFromCheckpoint(folder.Path, $"from-{i}", scheduler: training.Scheduler);
                    var loaded = training.State();
                    if (session.IsFirstRank)
                        AssertEqual(expected[i], loaded, $"{from} -> {layout}");
                }
            });
        }
    }

    [Theory]
    [InlineData("SGD", "parameters on 2", "one rank")]
    [InlineData("SGD", "one rank", "parameters on 3")]
    [InlineData("SGD without momentum", "2 copies", "parameters on 2")]
    [InlineData("Adam amsgrad", "gradients on 2", "parameters on 3")]
    [InlineData("Adagrad", "parameters on 2", "2 copies")]
    [InlineData("Adadelta", "pairs of 4", "one rank")]
    [InlineData("RMSProp", "2 copies", "parameters on 2 hosts")]
    [InlineData("NAdam", "parameters on 3", "parameters on 2")]
    public void So_do_other_optimizers_and_go_on_alike(string name, string from, string to)
    {
        using var folder = new TemporaryFolder();
        List<double> straight = [], resumed = [];
        CheckpointTraining.Run(from, session =>
        {
            using var training = new CheckpointTraining(session, Optimizer(name));
            training.Train(2);
            session.SaveCheckpoint(folder.Path, scheduler: training.Scheduler);
            var losses = training.Train(3);
            if (session.IsFirstRank)
                straight = losses;
        });
        CheckpointTraining.Run(to, session =>
        {
            using var training = new CheckpointTraining(session, Optimizer(name));
            session.ResumeFromCheckpoint(folder.Path, scheduler: training.Scheduler);
            var loaded = training.State();
            if (session.IsFirstRank)
                AssertEqual(Contents(folder["latest_partial"]), loaded, name);
            var losses = training.Train(3);
            if (session.IsFirstRank)
                resumed = losses;
        });

        // Sums over another number of ranks are rounded otherwise.
        Assert.Equal(3, resumed.Count);
        Assert.All(straight.Zip(resumed), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    private static Func<IEnumerable<TorchSharp.Modules.Parameter>, optim.Optimizer> Optimizer(string name) => name switch
    {
        "SGD" => parameters => optim.SGD(parameters, 0.05, momentum: 0.9),
        "SGD without momentum" => parameters => optim.SGD(parameters, 0.05),
        "Adam amsgrad" => parameters => optim.Adam(parameters, 0.01, amsgrad: true),
        "Adagrad" => parameters => optim.Adagrad(parameters, 0.01),
        "Adadelta" => parameters => optim.Adadelta(parameters, 0.5),
        "RMSProp" => parameters => optim.RMSProp(parameters, 0.01, momentum: 0.5, centered: true),
        _ => parameters => optim.NAdam(parameters, 0.01),
    };

    private static Dictionary<string, byte[]> Contents(string checkpoint)
    {
        using var scope = NewDisposeScope();
        using var reader = CheckpointReader.Open(checkpoint);
        Assert.Empty(reader.Verify());
        return reader.Index.Tensors.Select(tensor => tensor.Name).Where(name => !name.StartsWith("random/", StringComparison.Ordinal))
            .ToDictionary(name => name, name => reader.Read(name).bytes.ToArray());
    }

    private static void AssertEqual(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> actual, string what)
    {
        Assert.True(expected.Count > 5 && expected.Keys.Order().SequenceEqual(actual.Keys.Order()), $"{what}: {string.Join(", ", actual.Keys)}");
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.AsSpan().SequenceEqual(actual[name]), $"{what}: {name} differs");
    }
}
