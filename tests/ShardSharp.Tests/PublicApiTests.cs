using System.Reflection;
using PublicApiGenerator;
using ShardSharp.HuggingFace;
using ShardSharp.Testing;

namespace ShardSharp.Tests;

/// <summary>The public API changes only on purpose: it is what the verified files beside this one say.</summary>
public sealed class PublicApiTests
{
    private static readonly ApiGeneratorOptions Options = new()
    {
        IncludeAssemblyAttributes = false,
        ExcludeAttributes =
        [
            "System.Runtime.CompilerServices.CallerFilePathAttribute",
            "System.Runtime.CompilerServices.CallerLineNumberAttribute",
            "System.Runtime.CompilerServices.ParamCollectionAttribute",
            "System.Runtime.CompilerServices.ScopedRefAttribute",
            "System.Runtime.CompilerServices.TupleElementNamesAttribute",
        ],
    };

    [Fact]
    public void ShardSharp_is_as_verified() => Check(typeof(ModelParallel).Assembly);

    [Fact]
    public void ShardSharp_Testing_is_as_verified() => Check(typeof(RankHarness).Assembly);

    [Fact]
    public void ShardSharp_HuggingFace_is_as_verified() => Check(typeof(LanguageModel).Assembly);

    private static void Check(Assembly assembly)
    {
        var file = $"tests/ShardSharp.Tests/PublicApi.{assembly.GetName().Name}.verified.txt";
        var api = assembly.GeneratePublicApi(Options).ReplaceLineEndings("\n").TrimEnd() + "\n";
        if (Repository.IsUpdating)
            File.WriteAllText(Repository.PathOf(file), api);
        var verified = Repository.Read(file);
        Assert.True(
            api == verified,
            $"The public API of {assembly.GetName().Name} is not what {file} says. If that is intended, run the tests once with "
            + $"UPDATE_DOCUMENTS=1 in the environment and commit the file.{Environment.NewLine}{Difference(verified, api)}");
    }

    private static string Difference(string verified, string api)
    {
        var (before, after) = (verified.Split('\n'), api.Split('\n'));
        var lines = before.Except(after).Select(line => $"- {line.Trim()}").Concat(after.Except(before).Select(line => $"+ {line.Trim()}"));
        return string.Join(Environment.NewLine, lines);
    }
}
