using ShardSharp.Tests.DataParallel;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A training that stops and goes on is the training that did not stop. Random numbers are those of the process.</summary>
[Collection(nameof(WholeProcess))]
public sealed class ExactResumeTests
{
    private const int Before = 7;
    private const int After = 5;

    [Theory]
    [InlineData("one rank")]
    [InlineData("2 copies")]
    [InlineData("optimizer state on 2")]
    [InlineData("pairs of 4")]
    [InlineData("parameters on 2 hosts")]
    [InlineData("bfloat16 on 2")]
    [InlineData("float16 on 2")]
    public void Same_layout_same_bits(string layout)
    {
        using var folder = new TemporaryFolder();
        var (straight, end) = Straight(layout, folder);
        var (resumed, resumedEnd) = Resumed(layout, folder);

        Assert.Equal(straight[^After..], resumed);
        Assert.Equal(end.Keys.Order(), resumedEnd.Keys.Order());
        Assert.All(end, tensor => Assert.Equal(tensor.Value, resumedEnd[tensor.Key]));
    }

    [Theory]
    [InlineData("one rank", "pairs of 4")]
    [InlineData("parameters on 3", "2 copies")]
    [InlineData("4 copies", "parameters on 2 hosts")]
    public void Other_layout_same_losses_up_to_rounding(string from, string to)
    {
        using var folder = new TemporaryFolder();
        var (straight, _) = Straight(from, folder);
        var (resumed, _) = Resumed(to, folder);

        Assert.All(straight[^After..].Zip(resumed), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    /// <summary>The places in the data and the random numbers count as well: without dropout the bits would not tell.</summary>
    [Fact]
    public void Dropout_goes_on_with_the_same_random_numbers()
    {
        using var folder = new TemporaryFolder();
        var (straight, _) = Straight("one rank", folder, dropout: 0.5);
        var (resumed, _) = Resumed("one rank", folder, dropout: 0.5);
        Assert.Equal(straight[^After..], resumed);
    }

    private static (List<double> Losses, Dictionary<string, byte[]> End) Straight(string layout, TemporaryFolder folder, double dropout = 0)
    {
        var (losses, end) = (new List<double>(), new Dictionary<string, byte[]>());
        CheckpointTraining.Run(layout, session =>
        {
            using var training = new CheckpointTraining(session, dropout: dropout);
            var before = training.Train(Before);
            session.SaveCheckpoint(folder.Path, scheduler: training.Scheduler);
            var after = training.Train(After);
            var state = training.State();
            if (session.IsFirstRank)
                (losses, end) = ([.. before, .. after], state);
        });
        return (losses, end);
    }

    private static (List<double> Losses, Dictionary<string, byte[]> End) Resumed(string layout, TemporaryFolder folder, double dropout = 0)
    {
        var (losses, end) = (new List<double>(), new Dictionary<string, byte[]>());
        CheckpointTraining.Run(layout, session =>
        {
            using var training = new CheckpointTraining(session, dropout: dropout);
            Assert.NotNull(session.ResumeFromCheckpoint(folder.Path, scheduler: training.Scheduler));
            var after = training.Train(After);
            var state = training.State();
            if (session.IsFirstRank)
                (losses, end) = (after, state);
        });
        return (losses, end);
    }
}
