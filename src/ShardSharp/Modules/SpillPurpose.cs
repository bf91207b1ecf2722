namespace ShardSharp.Modules;

/// <summary>What a <see cref="SpillFile"/> is for, in the words of its errors.</summary>
/// <param name="What">What needs it, as the beginning of a sentence.</param>
/// <param name="FolderKey">The configuration key that chooses its folder.</param>
/// <param name="Contents">What else lies in it.</param>
internal sealed record SpillPurpose(string What, string FolderKey, string Contents)
{
    /// <summary>Building a model delayed.</summary>
    public static SpillPurpose Construction { get; } = new("Delayed initialisation", "delayed_initialization_folder", "the same model");
}
