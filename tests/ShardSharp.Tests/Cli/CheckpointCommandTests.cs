using ShardSharp.Checkpoints;
using ShardSharp.Cli;
using ShardSharp.Tests.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Cli;

public sealed class CheckpointCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public CheckpointCommandTests() => CheckpointTraining.Run("parameters on 3", session =>
    {
        using var training = new CheckpointTraining(session);
        training.Train(2);
        session.SaveCheckpoint(_folder.Path, "a", scheduler: training.Scheduler, userContent: "mine");
    });

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Inspect_shows_what_there_is()
    {
        var (code, output, _) = Run("inspect", _folder["a_partial"], "--parts");

        Assert.Equal(0, code);
        Assert.Contains("by 3 ranks: 31 tensors, 0.0 MiB in 3 files", output, StringComparison.Ordinal);
        Assert.Contains("optimizer AdamW, steps 2\n", output, StringComparison.Ordinal);
        Assert.Contains("data 0: epoch 0, 2 batches\n", output, StringComparison.Ordinal);
        Assert.Contains("scheduler StepLR, step 2\n", output, StringComparison.Ordinal);
        Assert.Contains("user content: \"mine\"\n", output, StringComparison.Ordinal);
        Assert.Contains("model/_first.weight  F32 [13, 6]\n  rank-0000", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Inspect_shows_how_a_model_was_cut_into_stages()
    {
        LayerTraining.Run("stages 2", session =>
        {
            using var training = new LayerTraining(session);
            session.SaveCheckpoint(_folder.Path, "cut");
        });
        var (code, output, _) = Run("inspect", _folder["cut_partial"]);

        Assert.Equal(0, code);
        Assert.Matches("\\nmodel 0 in stages: [^,]+, [^,]+\\n", output);
    }

    [Fact]
    public void Verify_names_what_is_damaged()
    {
        Assert.Equal((0, ""), Of(Run("verify", _folder["a_partial"])));
        var file = Path.Combine(_folder["a_partial"], "rank-00001.safetensors");
        var bytes = File.ReadAllBytes(file);
        bytes[^1] ^= 1;
        File.WriteAllBytes(file, bytes);
        var (code, _, error) = Run("verify", _folder["a_partial"]);

        Assert.Equal(1, code);
        Assert.StartsWith($"{file}: ", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_converted_checkpoint_has_the_same_in_one_file()
    {
        Assert.Equal((0, ""), Of(Run("convert", _folder["a_partial"], _folder["b_partial"])));

        Assert.Equal(["index.json", "rank-00000.safetensors"], Directory.EnumerateFiles(_folder["b_partial"]).Select(path => Path.GetFileName(path)).Order());
        using var scope = NewDisposeScope();
        using var first = CheckpointReader.Open(_folder["a_partial"]);
        using var second = CheckpointReader.Open(_folder["b_partial"]);
        Assert.Empty(second.Verify());
        Assert.Equal(first.Index.State.ToJsonString(), second.Index.State.ToJsonString());
        Assert.All(first.Index.Tensors, tensor => Assert.Equal(first.Read(tensor.Name).bytes.ToArray(), second.Read(tensor.Name).bytes.ToArray()));
        Assert.Equal(1, Run("convert", _folder["a_partial"], _folder["b_partial"]).Code);
    }

    [Theory]
    [InlineData(null, ScalarType.Float32)]
    [InlineData("bfloat16", ScalarType.BFloat16)]
    [InlineData("float16", ScalarType.Float16)]
    public void Exported_weights_are_whole_and_of_the_type_wanted(string? name, ScalarType type)
    {
        string[] options = name is null ? [] : ["--type", name];
        Assert.Equal((0, ""), Of(Run(["export", _folder["a_partial"], _folder["out"], .. options])));

        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Path.Combine(_folder["out"], "model.safetensors"));
        using var reader = CheckpointReader.Open(_folder["a_partial"]);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(10, file.Entries.Count);
        foreach (var entry in file.Entries)
        {
            var expected = reader.Read("model/" + entry.Name);
            expected = expected.is_floating_point() ? expected.to_type(type) : expected;
            Assert.Equal(expected.bytes.ToArray(), file.Read(entry.Name).bytes.ToArray());
        }
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("export x --type int8 y")]
    public void Bad_arguments_are_refused(string arguments) => Assert.Equal(2, Run(arguments.Split(' ')).Code);

    [Fact]
    public void What_is_no_checkpoint_is_said_to_be_none()
    {
        var (code, _, error) = Run("verify", _folder["none"]);
        Assert.Equal(1, code);
        Assert.Contains("this is no checkpoint", error, StringComparison.Ordinal);
    }

    private static (int Code, string Error) Of((int Code, string Output, string Error) result) => (result.Code, result.Error);

    private static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        return (new CommandLine(output, error, new Dictionary<string, string>()).Run(["checkpoint", .. arguments]), output.ToString(), error.ToString());
    }
}
