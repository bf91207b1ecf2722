using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>What README.md says of the code is so.</summary>
public sealed partial class ReadmeTests
{
    private const string Begin = "        // begin\n";
    private const string End = "        // end\n";

    [Fact]
    public void The_example_is_the_compiled_one()
    {
        var source = Repository.Read("tests/ShardSharp.Tests/ReadmeExample.cs").Split(Begin)[1].Split(End)[0];
        var lines = source.Split('\n').Select(line => line.Length > 8 ? line[8..] : line);

        Assert.Contains(
            $"```csharp\nusing ShardSharp;\nusing static TorchSharp.torch;\n\n{string.Join('\n', lines)}```", Repository.Read("README.md"),
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_example_trains()
    {
        using var dataset = new Digits();
        Assert.Equal(0, ReadmeExample.Run(["--ranks", "2", "--backend", "threads"], dataset));
    }

    [Fact]
    public void Links_between_documents_lead_somewhere()
    {
        string[] folders = [".", "docs", .. Directory.GetDirectories(Repository.PathOf("samples")).Select(Path.GetFullPath)];
        var documents = folders.SelectMany(folder => Directory.GetFiles(Repository.PathOf(folder), "*.md"));

        Assert.Empty(documents.SelectMany(document => LinkPattern().Matches(File.ReadAllText(document))
            .Select(link => link.Groups[1].Value)
            .Where(target => !Path.Exists(Path.Combine(Path.GetDirectoryName(document)!, target)))
            .Select(target => $"{Path.GetRelativePath(Repository.Root, document)} links to {target}")));
    }

    /// <summary>The target of a link to a file, without the place in the file.</summary>
    [GeneratedRegex(@"\]\(([^)#:]+)(?:#[^)]*)?\)")]
    private static partial Regex LinkPattern();

    private sealed class Digits : utils.data.Dataset<(Tensor Inputs, Tensor Labels)>
    {
        public override long Count => 96;

        public override (Tensor Inputs, Tensor Labels) GetTensor(long index) => (full(64, index / 96.0), tensor(index % 10));
    }
}
