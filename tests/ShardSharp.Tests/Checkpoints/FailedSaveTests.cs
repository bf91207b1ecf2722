using ShardSharp.Checkpoints;
using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A save that fails anywhere fails everywhere, with the reason, and leaves what was there.</summary>
public sealed class FailedSaveTests
{
    [Theory]
    [InlineData(0, 3)]
    [InlineData(1, 2)]
    [InlineData(2, 3)]
    public void A_rank_that_cannot_write_is_named_on_all(int culprit, int ranks)
    {
        using var folder = new TemporaryFolder();
        var failures = RankHarness.Capture(ranks, group =>
        {
            Save(group, folder, "before", "first").Write(group);
            var save = Save(group, folder, "before", "second");
            if (group.Rank == culprit)
                File.WriteAllText(Path.Combine(Directory.EnumerateDirectories(folder.Path, "*.unfinished").Single(), PartFile.NameOf(culprit)), "");
            group.Barrier();
            save.Write(group);
        });

        Assert.Equal(ranks, failures.Count);
        Assert.All(failures, failure => Assert.Contains(
            $"before_partial: saving the checkpoint failed: rank {culprit}: The file", Assert.IsType<CheckpointException>(failure.Failure).Message, StringComparison.Ordinal));
        Assert.IsType<IOException>(failures.Single(failure => failure.Rank == culprit).Failure.InnerException);
        Assert.Equal(["before_partial", "newest"], folder.Files);
        using var reader = CheckpointReader.Open(folder["before_partial"]);
        Assert.Empty(reader.Verify());
        Assert.Equal("first", (string?)reader.Index.State["user_content"]);
    }

    [Fact]
    public void So_is_one_that_cannot_say_what_it_has()
    {
        using var folder = new TemporaryFolder();
        var failures = RankHarness.Capture(3, group => CheckpointSave.Prepare(
            group, new SaveRequest(folder.Path, "a", Partial: true, null, Copies: false),
            () => group.Rank == 2 ? throw new InvalidOperationException("it is out of reach") : new SaveContents([], [], [])));

        Assert.Equal(3, failures.Count);
        Assert.All(failures, failure => Assert.EndsWith(
            "saving the checkpoint failed: rank 2: it is out of reach", Assert.IsType<CheckpointException>(failure.Failure).Message, StringComparison.Ordinal));
        Assert.Empty(folder.Files);
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "");
        var failures = RankHarness.CaptureSessions(2, session =>
        {
            using var training = new CheckpointTraining(session);
            session.SaveCheckpoint(folder["file"]);
        });

        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains(folder["file"], Assert.IsType<CheckpointException>(failure.Failure).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void What_does_not_fit_is_refused_before_anything_changes()
    {
        using var folder = new TemporaryFolder();
        CheckpointTraining.Run("2 copies", session => RequireRefusals(session, folder));
    }

    [Fact]
    public void Ranks_that_ask_for_different_checkpoints_are_told()
    {
        using var folder = new TemporaryFolder();
        var failures = RankHarness.Capture(2, group => Save(group, folder, $"tag-{group.Rank}", ""));
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains(
            "rank 0 saves tag-0 and rank 1 tag-1", Assert.IsType<CheckpointException>(failure.Failure).Message, StringComparison.Ordinal));
    }

    private static void RequireRefusals(Session session, TemporaryFolder folder)
    {
        using (var other = new CheckpointTraining(session, parameters => optim.SGD(parameters, 0.1)))
            session.SaveCheckpoint(folder.Path);
        using var training = new CheckpointTraining(session);
        session.SaveCheckpoint(folder.Path, "unscheduled");
        var before = training.State();

        Refuses("the checkpoint has the state of SGD, and the program's optimizer is AdamW", () => session.ResumeFromCheckpoint(folder.Path, "latest"));
        Refuses("there is no index.json", () => session.ResumeFromCheckpoint(folder.Path, "unknown"));
        Refuses(
            "the checkpoint has the state of 0 learning-rate schedulers, and the program gave 1",
            () => session.ResumeFromCheckpoint(folder.Path, "unscheduled", optimizer: training.Optimizer, scheduler: training.Scheduler));
        Assert.Throws<ArgumentException>(() => session.SaveCheckpoint(folder.Path, "../elsewhere"));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.SaveCheckpoint(folder.Path, keptPartialCheckpoints: 0));

        var after = training.State();
        Assert.Equal(before.Keys, after.Keys);
        Assert.All(before, tensor => Assert.Equal(tensor.Value, after[tensor.Key]));
        using (training.Model.AccumulateGradients())
            training.Model.Step([ones(2, 6)], (module, batch) => module.call(batch[0]).sum());
        Refuses("only accumulated gradients", () => session.SaveCheckpoint(folder.Path));
    }

    private static void Refuses(string problem, Action action) =>
        Assert.Contains(problem, Assert.Throws<CheckpointException>(action).Message, StringComparison.Ordinal);

    private static CheckpointSave Save(ProcessGroup group, TemporaryFolder folder, string tag, string content)
    {
        // Large enough that every rank has a share.
        var values = ones(300_000);
        return CheckpointSave.Prepare(
            group, new SaveRequest(folder.Path, tag, Partial: true, KeptPartial: null, Copies: false),
            () => new SaveContents(
                [new HeldTensor("model/w", TensorPart.Whole(values.shape), values)], [],
                new System.Text.Json.Nodes.JsonObject { ["user_content"] = content }));
    }
}
