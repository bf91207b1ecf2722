using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>Tensors spread over several files are read as from one; an index is not believed either.</summary>
public sealed class SafetensorsFolderTests
{
    [Theory]
    [InlineData(1000, 1)]
    [InlineData(16, 2)]
    [InlineData(8, 4)]
    [InlineData(1, 4)]
    public void Tensors_come_back_from_as_many_files_as_needed(long largestFile, int files)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var tensors = Enumerable.Range(0, 4).ToDictionary(i => $"t{i}", i => full(2, (float)i));

        SafetensorsFolder.Write(folder.Path, tensors, largestFile: largestFile);

        Assert.Equal(
            files == 1
                ? ["model.safetensors"]
                : [.. Enumerable.Range(1, files).Select(i => $"model-0000{i}-of-0000{files}.safetensors"), "model.safetensors.index.json"],
            folder.Files);
        using var opened = SafetensorsFolder.Open(folder.Path);
        Assert.Equal(tensors.Keys, opened.Names.Order());
        Assert.All(tensors, tensor => Assert.True(opened.FileOf(tensor.Key).Read(tensor.Key).eq(tensor.Value).all().item<bool>()));
        Assert.False(opened.Contains("t4"));
        Assert.Throws<SafetensorsException>(() => opened.FileOf("t4"));
    }

    [Theory]
    [InlineData("../secret.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub/secret.safetensors")]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("")]
    [InlineData("..\\\\secret.safetensors")]
    [InlineData("secret\\u0000.safetensors")]
    public void An_index_cannot_name_files_elsewhere(string file)
    {
        using var folder = new TemporaryFolder();
        WriteIndex(folder, $$"""{"weight_map": {"a": "{{file}}"} }""");

        var failure = Assert.Throws<SafetensorsException>(() => SafetensorsFolder.Open(folder.Path));

        Assert.Contains("no file name", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"weight_map": ["a"]}""")]
    [InlineData("""{"weight_map": {"a": 1}}""")]
    [InlineData("""{"weight_map": {"a": "x", "a": "y"}}""")]
    public void A_damaged_index_is_refused(string text)
    {
        using var folder = new TemporaryFolder();
        WriteIndex(folder, text);

        Assert.Throws<SafetensorsException>(() => SafetensorsFolder.Open(folder.Path));
    }

    [Fact]
    public void An_index_cannot_name_tensors_that_its_file_lacks()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafetensorsFile.Write(folder["part.safetensors"], [KeyValuePair.Create("a", ones(1))]);
        WriteIndex(folder, """{"weight_map": {"a": "part.safetensors", "b": "part.safetensors"}}""");

        var failure = Assert.Throws<SafetensorsException>(() => SafetensorsFolder.Open(folder.Path));

        Assert.Contains("no tensor b", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_tensors_is_refused()
    {
        using var folder = new TemporaryFolder();

        Assert.Contains("model.safetensors", Assert.Throws<FileNotFoundException>(() => SafetensorsFolder.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    private static void WriteIndex(TemporaryFolder folder, string text) => File.WriteAllText(folder["model.safetensors.index.json"], text);
}
