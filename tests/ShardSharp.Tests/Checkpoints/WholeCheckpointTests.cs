using ShardSharp.Checkpoints;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>Weights without a trace of ranks: full checkpoints, and dictionaries of tensors.</summary>
public sealed class WholeCheckpointTests
{
    [Theory]
    [InlineData("2 copies", "parameters on 3")]
    [InlineData("pairs of 4", "one rank")]
    [InlineData("bfloat16 on 2", "2 copies")]
    public void Full_checkpoints_are_ordinary_safetensors_and_come_back(string from, string to)
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, byte[]> expected = [];
        CheckpointTraining.Run(from, session =>
        {
            using var training = new CheckpointTraining(session);
            training.Train(2);
            session.SaveCheckpoint(folder.Path, "whole", partial: false, userContent: new Content("hello", 3));
            var state = training.State();
            if (session.IsFirstRank)
                expected = Weights(state);
        });

        Assert.Equal(["newest", "whole"], folder.Files);
        using (NewDisposeScope())
        using (var file = SafetensorsFile.Open(Path.Combine(folder["whole"], "model.safetensors")))
        {
            Assert.Equal(expected.Keys.Order(), file.Entries.Select(entry => entry.Name).Order());
            Assert.All(expected, tensor => Assert.Equal(tensor.Value, file.Read(tensor.Key).bytes.ToArray()));
        }

        CheckpointTraining.Run(to, session =>
        {
            using var training = new CheckpointTraining(session);
            training.Train(1);
            var resumed = session.ResumeFromCheckpoint(folder.Path, partial: false);
            Assert.Equal(("whole", new Content("hello", 3)), (resumed!.Tag, resumed.UserContent<Content>()));
            var state = training.State();
            if (session.IsFirstRank)
                Assert.All(expected, tensor => Assert.Equal(tensor.Value, state["model/" + tensor.Key]));
        });
    }

    [Theory]
    [InlineData("2 copies")]
    [InlineData("parameters on 3")]
    [InlineData("pairs of 4 hosts")]
    [InlineData("float16 on 2")]
    public void A_dictionary_of_the_undivided_model_goes_out_and_in(string layout) => CheckpointTraining.Run(layout, session =>
    {
        using var training = new CheckpointTraining(session);
        var state = training.Model.StateDict();
        var first = training.Model.StateDict(firstRankOnly: true);
        Assert.Equal(session.IsFirstRank ? state.Keys : [], first.Keys);
        using var alone = new CheckpointTraining.Net(0);
        Assert.Equal(alone.state_dict().Keys.Order(), state.Keys.Order());
        Assert.Equal(alone.state_dict().Keys.Order(), training.Model.LocalStateDict().Keys.Order());
        foreach (var (name, parameter) in Randoms.Filled(alone).named_parameters())
            Assert.True(parameter.eq(state[name]).all().item<bool>(), name);

        training.Train(2);
        Assert.False(training.Model.StateDict()["_first.weight"].eq(state["_first.weight"]).all().item<bool>());
        training.Model.LoadStateDict(state);
        var loaded = training.Model.StateDict();
        Assert.All(state, tensor => Assert.True(tensor.Value.eq(loaded[tensor.Key]).all().item<bool>(), tensor.Key));

        var less = state.Where(tensor => tensor.Key != "_first.bias").ToDictionary();
        Assert.Contains("_first.bias", Assert.Throws<ArgumentException>(() => training.Model.LoadStateDict(less)).Message, StringComparison.Ordinal);
        training.Model.LoadStateDict(less, strict: false);
        var wrong = new Dictionary<string, Tensor>(state) { ["_first.bias"] = zeros(4) };
        Assert.Throws<ArgumentException>(() => training.Model.LoadStateDict(wrong));
        session.Groups.World.Barrier();
    });

    [Fact]
    public void Without_strict_what_differs_is_told()
    {
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(2, session =>
        {
            using var scope = NewDisposeScope();
            using var saved = session.DistributedModel(() => nn.Sequential(("a", nn.Linear(3, 3)), ("b", nn.Linear(3, 3))));
            session.SaveCheckpoint(folder.Path);
            saved.Dispose();
            using var model = session.DistributedModel(() => nn.Sequential(("a", nn.Linear(3, 3)), ("c", nn.Linear(3, 3, hasBias: false))));
            var failure = Assert.Throws<CheckpointException>(() => session.ResumeFromCheckpoint(folder.Path));
            Assert.Contains("the checkpoint has no model/c.weight", failure.Message, StringComparison.Ordinal);
            var resumed = session.ResumeFromCheckpoint(folder.Path, strict: false)!;
            Assert.Equal(["model/c.weight"], resumed.Missing);
            Assert.Equal(["model/b.bias", "model/b.weight"], resumed.Unexpected);
            Assert.Null(session.ResumeFromCheckpoint(folder["none"]));
        });
    }

    private static Dictionary<string, byte[]> Weights(Dictionary<string, byte[]> state) => state
        .Where(tensor => tensor.Key.StartsWith("model/", StringComparison.Ordinal)).ToDictionary(tensor => tensor.Key["model/".Length..], tensor => tensor.Value);

    private sealed record Content(string Text, int Number);
}
