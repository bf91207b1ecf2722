using ShardSharp.Checkpoints;
using ShardSharp.Testing;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A checkpoint that is written while training goes on has the values of when it was asked for.</summary>
public sealed class BackgroundSaveTests
{
    [Theory]
    [InlineData("one rank")]
    [InlineData("2 copies")]
    [InlineData("parameters on 3")]
    public void The_values_are_those_of_the_call(string layout)
    {
        using var folder = new TemporaryFolder();
        CheckpointTraining.Run(layout, session =>
        {
            using var training = new CheckpointTraining(session);
            for (var i = 0; i < 3; i++)
            {
                training.Train(2);
                var expected = training.State();
                session.SaveCheckpoint(folder.Path, $"step-{i}", inBackground: true, keptPartialCheckpoints: 2);
                training.Train(1);
                session.FinishCheckpoint();
                if (session.IsFirstRank)
                    RequireEqual(folder[$"step-{i}_partial"], expected);
            }

            Assert.Equal(["newest", "step-1_partial", "step-2_partial"], folder.Files);
            session.Groups.World.Barrier();
        });
    }

    [Fact]
    public void A_failure_comes_with_the_next_call()
    {
        using var folder = new TemporaryFolder();
        CheckpointTraining.Run("2 copies", session =>
        {
            using var training = new CheckpointTraining(session);
            session.Groups.World.Barrier();

            // A file where the checkpoint's folder should be: it is found when the folder gets its name.
            if (session.IsFirstRank)
                File.WriteAllText(folder["step_partial"], "");
            session.Groups.World.Barrier();
            session.SaveCheckpoint(folder.Path, "step", inBackground: true);
            training.Train(1);
            var failure = Assert.Throws<CheckpointException>(() => session.SaveCheckpoint(folder.Path, "other"));
            Assert.Contains("step_partial: saving the checkpoint failed: ", failure.Message, StringComparison.Ordinal);
            session.SaveCheckpoint(folder.Path, "other");
            Assert.Equal("other", session.ResumeFromCheckpoint(folder.Path)!.Tag);
        });
        Assert.Equal(["newest", "other_partial", "step_partial"], folder.Files);
    }

    [Fact]
    public void A_session_that_ends_completes_it()
    {
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(2, session =>
        {
            using var training = new CheckpointTraining(session);
            session.SaveCheckpoint(folder.Path, inBackground: true);
        });
        using var reader = CheckpointReader.Open(folder["latest_partial"]);
        Assert.Empty(reader.Verify());
    }

    private static void RequireEqual(string checkpoint, Dictionary<string, byte[]> expected)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var reader = CheckpointReader.Open(checkpoint);
        foreach (var (name, bytes) in expected)
            Assert.True(bytes.AsSpan().SequenceEqual(reader.Read(name).bytes), name);
    }
}
