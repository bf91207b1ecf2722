using System.Text.Json;

namespace ShardSharp.Topology;

/// <summary>The hosts of a SageMaker training job, as its containers are told.</summary>
internal static class SageMakerHosts
{
    /// <summary>The names in <c>SM_HOSTS</c>, a JSON list.</summary>
    public static IReadOnlyList<string> Names(LauncherVariables variables)
    {
        try
        {
            return JsonSerializer.Deserialize<string[]>(variables.Text("SM_HOSTS")!) ?? [];
        }
        catch (JsonException)
        {
            throw variables.Wrong("SM_HOSTS", """a JSON list of host names such as ["algo-1", "algo-2"]""");
        }
    }

    /// <summary>The place of <c>SM_CURRENT_HOST</c> among the names.</summary>
    public static int Index(LauncherVariables variables)
    {
        var names = Names(variables);
        var index = names.ToList().IndexOf(variables.Text("SM_CURRENT_HOST")!);
        return index >= 0 ? index : throw variables.Wrong("SM_CURRENT_HOST", $"one of SM_HOSTS: {string.Join(", ", names)}");
    }
}
