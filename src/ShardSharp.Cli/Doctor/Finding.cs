namespace ShardSharp.Cli.Doctor;

/// <summary>How good a finding is.</summary>
internal enum FindingState
{
    /// <summary>As it should be, or not needed.</summary>
    Ok,

    /// <summary>Runs work, but some will be slow or fail.</summary>
    Warning,

    /// <summary>Runs fail.</summary>
    Problem,
}

/// <summary>One thing found out about the machine.</summary>
/// <param name="Topic">What it is about.</param>
/// <param name="State">How good it is.</param>
/// <param name="What">What was found.</param>
/// <param name="Advice">What to do about it; null where nothing need be done.</param>
internal sealed record Finding(string Topic, FindingState State, string What, string? Advice = null)
{
    public static Finding Ok(string topic, string what) => new(topic, FindingState.Ok, what);

    public static Finding Warning(string topic, string what, string advice) => new(topic, FindingState.Warning, what, advice);

    public static Finding Problem(string topic, string what, string advice) => new(topic, FindingState.Problem, what, advice);
}
