using System.Reflection;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;

namespace ShardSharp.Tests;

/// <summary>The rules of docs/architecture.md that keep a growing code base readable.</summary>
public sealed class StructureTests
{
    private const string FrontDoor = "the front door";
    private const int LongestFile = 350;

    /// <summary>The folders of src/ShardSharp; each may use those before it. The front door is the files beside them.</summary>
    private static readonly string[] Layers =
    [
        "Native", "Communication", "Topology", "Modules", "Activations", "Precision", "Optimizers", "DataParallel", "Steps", "TensorParallel",
        "Pipeline", "ContextParallel", "ExpertParallel", "Checkpoints", "Planning", "Diagnostics", "Launching", FrontDoor,
    ];

    private static readonly Assembly Library = typeof(ModelParallel).Assembly;

    [Fact]
    public void A_folder_uses_only_those_above_it()
    {
        var upward = Library.GetTypes()
            .Where(type => LayerOf(type) is not null)
            .SelectMany(type => TypeReferences.Of(type).Select(used => (User: type, Used: used)))
            .Where(pair => LayerOf(pair.Used) is { } used && IndexOf(used) > IndexOf(LayerOf(pair.User)!))

            // What a launcher runs is a program that takes a session.
            .Where(pair => (LayerOf(pair.User), pair.Used) != ("Launching", typeof(Session)))
            .Select(pair => $"{pair.User.FullName} uses {pair.Used.FullName}");

        Assert.Empty(upward);
    }

    [Fact]
    public void Every_folder_is_a_layer() => Assert.Subset(
        Layers.ToHashSet(), Library.GetTypes().Select(LayerOf).OfType<string>().ToHashSet());

    [Fact]
    public void Native_code_is_called_from_Native_alone() => Assert.Empty(
        new[] { Library, typeof(RankHarness).Assembly, typeof(LanguageModel).Assembly }
            .SelectMany(assembly => assembly.GetTypes())
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.DeclaredOnly))
            .Where(method => method.Attributes.HasFlag(MethodAttributes.PinvokeImpl) && LayerOf(method.DeclaringType!) != "Native")
            .Select(method => $"{method.DeclaringType!.FullName}.{method.Name}"));

    [Fact]
    public void No_source_file_is_too_long_to_read() => Assert.Empty(
        Repository.Sources("src")
            .Select(file => (file, Lines: File.ReadLines(Repository.PathOf($"src/{file}")).Count()))
            .Where(source => source.Lines > LongestFile)
            .Select(source => $"{source.file} has {source.Lines} lines"));

    [Fact]
    public void Tests_lie_where_what_they_test_does() => Assert.Empty(
        Repository.Sources("tests/ShardSharp.Tests")
            .Where(file => file.EndsWith("Tests.cs", StringComparison.Ordinal))
            .Select(file => Path.GetDirectoryName(file)!)
            .Distinct()
            .Where(folder => !Directory.Exists(Repository.PathOf($"src/ShardSharp/{folder}"))
                && !Directory.Exists(Repository.PathOf($"src/ShardSharp.{folder}")) && !IsOfPrograms(folder))
            .Select(folder => $"{folder} is no folder of src/ShardSharp, nor of another library"));

    /// <summary>The command line, samples and benchmarks have their tests in folders called like theirs.</summary>
    private static bool IsOfPrograms(string folder) => folder.Split(Path.DirectorySeparatorChar)[0] is "Cli" or "Samples" or "Benchmarks";

    /// <summary>The folder that a type lies in; null for types of others and of the compiler.</summary>
    private static string? LayerOf(Type type) =>
        type.Assembly != Library || type.Namespace is not { } space || space.Split('.') is not ["ShardSharp", .. var folders] ? null
        : folders is [var layer, ..] ? layer
        : FrontDoor;

    private static int IndexOf(string layer) => Array.IndexOf(Layers, layer);
}
