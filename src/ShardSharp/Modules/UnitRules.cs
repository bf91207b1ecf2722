namespace ShardSharp.Modules;

/// <summary>How the parameters of a model are divided into units.</summary>
internal sealed record UnitRules
{
    /// <summary>Elements that a unit has at most, unless a module that cannot be divided has more.</summary>
    public required long MaximumElements { get; init; }

    /// <summary>Parameters with fewer elements stay gathered, in units of their own.</summary>
    public required long PersistenceThreshold { get; init; }

    /// <summary>Which modules, by their names in the model, are units; null to choose them.</summary>
    public Func<string, bool>? IsUnit { get; init; }
}
