using System.Text.RegularExpressions;
using ShardSharp.Communication;
using ShardSharp.HuggingFace;
using ShardSharp.Precision;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests;

/// <summary>What docs/smp.md says has landed exists, and what it says is planned does not.</summary>
public sealed partial class SmpDocumentTests
{
    private static readonly Dictionary<string, Type> Types = new()
    {
        ["session"] = typeof(Session),
        ["Session"] = typeof(Session),
        ["position"] = typeof(RankPosition),
        ["layout"] = typeof(RankLayout),
        ["groups"] = typeof(SessionGroups),
        ["group"] = typeof(ProcessGroup),
        ["model"] = typeof(DistributedModel<nn.Module>),
        ["optimizer"] = typeof(DistributedOptimizer),
        ["output"] = typeof(StepOutput),
        ["StepOptions"] = typeof(StepOptions),
        ["ModelParallel"] = typeof(ModelParallel),
        ["LossScaling"] = typeof(LossScaling),
        ["LanguageModel"] = typeof(LanguageModel),
    };

    [Fact]
    public void Members_have_the_status_of_the_page()
    {
        var members = Repository.Read("docs/smp.md").Split('\n')
            .Where(line => line.EndsWith("| landed |", StringComparison.Ordinal) || line.EndsWith("| planned |", StringComparison.Ordinal))
            .SelectMany(line => MemberPattern().Matches(line.Split(" | ")[1]).Select(match => (
                Type: Types[match.Groups[1].Value], Member: match.Groups[2].Value, Exists: line.EndsWith("| landed |", StringComparison.Ordinal))))
            .ToList();

        Assert.NotEmpty(members);
        Assert.All(members, named => Assert.Equal(
            (named.Member, named.Exists), (named.Member, named.Type.GetMember(named.Member).Length > 0)));
    }

    /// <summary>A name in code marks with what it is a member of.</summary>
    [GeneratedRegex(@"`(\w+)\.(\w+)")]
    private static partial Regex MemberPattern();
}
