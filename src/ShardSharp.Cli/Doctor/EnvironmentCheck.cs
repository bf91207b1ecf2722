using ShardSharp.Topology;

namespace ShardSharp.Cli.Doctor;

/// <summary>What the environment variables say: who starts ranks, and what they configure.</summary>
internal static class EnvironmentCheck
{
    public static IEnumerable<Finding> Run(DoctorHost host) => [Launcher(host.Environment), .. Configuration(host.Environment)];

    private static Finding Launcher(IReadOnlyDictionary<string, string> environment)
    {
        try
        {
            return ClusterEnvironment.Detect(environment) is { } found
                ? Finding.Ok("launcher", $"{found.Launcher} started this process as rank {found.Rank} of {found.WorldSize}")
                : Finding.Ok("launcher", "none has started this process: a program started here starts its ranks itself");
        }
        catch (ClusterEnvironmentException wrong)
        {
            return Finding.Problem("launcher", wrong.Message, "Start programs from a shell without these variables, or with all of them.");
        }
    }

    private static IEnumerable<Finding> Configuration(IReadOnlyDictionary<string, string> environment)
    {
        string[] names = [.. environment.Keys.Where(name => name == EnvironmentVariables.SageMakerParameters
            || (name.StartsWith(ConfigurationKeys.VariablePrefix, StringComparison.Ordinal) && !RankVariables.All.Contains(name))).Order()];
        IReadOnlyList<ConfigurationViolation> violations = [];
        try
        {
            _ = ParallelConfiguration.Load([], environment);
        }
        catch (ConfigurationException wrong)
        {
            violations = wrong.Violations;
        }

        if (violations.Count == 0)
            yield return Finding.Ok("configuration", names.Length == 0 ? "no environment variables" : string.Join(", ", names));
        foreach (var violation in violations)
        {
            yield return Finding.Problem("configuration", $"{violation.Key} = {violation.Value} ({violation.Source}) {violation.Rule}",
                $"works: {violation.Suggestion.For(violation.Source)}");
        }
    }
}
