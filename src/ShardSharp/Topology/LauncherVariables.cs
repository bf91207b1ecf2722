using System.Globalization;

namespace ShardSharp.Topology;

/// <summary>Environment variables as one launcher sets them; whatever is wrong with them is reported in that launcher's name.</summary>
internal sealed class LauncherVariables(IReadOnlyDictionary<string, string> environment, string launcher)
{
    public bool Has(string name) => !string.IsNullOrEmpty(environment.GetValueOrDefault(name));

    /// <summary>The value of the first of the names that is set, or null.</summary>
    public string? Text(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (Has(name))
                return environment[name];
        }

        return null;
    }

    /// <summary>The number in the first of the names that is set, or null.</summary>
    public int? OptionalNumber(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (!Has(name))
                continue;
            return int.TryParse(environment[name], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number
                : throw Wrong(name, "a whole number, 0 or more");
        }

        return null;
    }

    /// <summary>As <see cref="OptionalNumber"/>, for variables that were checked to be set.</summary>
    public int Number(params ReadOnlySpan<string> names) => OptionalNumber(names)
        ?? throw new ClusterEnvironmentException($"Started by {launcher}, but {string.Join(" or ", names.ToArray())} is not set.");

    public ClusterEnvironmentException Wrong(string name, string expected) =>
        new($"Started by {launcher}, but {name} is '{Text(name)}'; it should be {expected}.");
}
