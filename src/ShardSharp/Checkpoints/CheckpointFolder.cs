using System.Text;
using System.Text.RegularExpressions;
using ShardSharp.Native;

namespace ShardSharp.Checkpoints;

/// <summary>
/// The folder that a training keeps its checkpoints in: <c>TAG_partial</c> for each checkpoint that ranks wrote in parts, <c>TAG</c> for each
/// whole one, and the file <c>newest</c> with the tag of the latest.
/// </summary>
/// <param name="path">The folder.</param>
internal sealed partial class CheckpointFolder(string path)
{
    /// <summary>The file with the tag of the latest checkpoint.</summary>
    public const string NewestFile = "newest";

    private const string PartialSuffix = "_partial";

    /// <summary>The folder.</summary>
    public string FullPath { get; } = Path.GetFullPath(path);

    /// <summary>Where a checkpoint lies.</summary>
    /// <param name="tag">Its tag.</param>
    /// <param name="partial">Whether ranks wrote it in parts.</param>
    /// <exception cref="ArgumentException">The tag cannot be the name of a folder.</exception>
    public string PathOf(string tag, bool partial)
    {
        RequireTag(tag);
        return Path.Combine(FullPath, partial ? tag + PartialSuffix : tag);
    }

    /// <summary>The tag of the latest checkpoint of a kind that is there; null without one.</summary>
    public string? Newest(bool partial)
    {
        var file = Path.Combine(FullPath, NewestFile);
        var tag = File.Exists(file) ? File.ReadAllText(file).Trim() : null;
        if (tag is not null && IsTag(tag) && Directory.Exists(PathOf(tag, partial)))
            return tag;

        // A crash between the two leaves a checkpoint that the file does not name yet; whoever deletes checkpoints leaves the opposite.
        return Tags(partial) is [var latest, ..] ? latest : null;
    }

    /// <summary>The tags of all checkpoints of a kind, the latest first.</summary>
    public IReadOnlyList<string> Tags(bool partial)
    {
        if (!Directory.Exists(FullPath))
            return [];
        return
        [
            .. new DirectoryInfo(FullPath).EnumerateDirectories()
                .Where(folder => IsCheckpoint(folder, partial))
                .OrderByDescending(folder => File.GetLastWriteTimeUtc(MarkOf(folder, partial))).ThenByDescending(folder => folder.Name, StringComparer.Ordinal)
                .Select(folder => partial ? folder.Name[..^PartialSuffix.Length] : folder.Name),
        ];
    }

    /// <summary>A name for a folder to write a checkpoint in before it gets its own.</summary>
    public string Unfinished(string tag, bool partial) => $"{PathOf(tag, partial)}.{Guid.NewGuid():N}.unfinished";

    /// <summary>Removes what a run that was interrupted has left of checkpoints that it did not finish.</summary>
    public void RemoveUnfinished()
    {
        if (!Directory.Exists(FullPath))
            return;
        foreach (var folder in Directory.EnumerateDirectories(FullPath).Where(folder => UnfinishedName().IsMatch(Path.GetFileName(folder))))
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>Gives a folder, complete and on disk, its name, in the place of a checkpoint that has it, and makes it the newest.</summary>
    /// <param name="unfinished">The folder.</param>
    /// <param name="tag">The checkpoint's tag.</param>
    /// <param name="partial">Whether ranks wrote it in parts.</param>
    public void Publish(string unfinished, string tag, bool partial)
    {
        var final = PathOf(tag, partial);
        HostPlatform.Current.FlushFolder(unfinished);
        if (Directory.Exists(final))
        {
            HostPlatform.Current.ExchangeFolders(unfinished, final);
            HostPlatform.Current.FlushFolder(FullPath);
            Directory.Delete(unfinished, recursive: true);
        }
        else
        {
            Directory.Move(unfinished, final);
        }

        HostPlatform.Current.FlushFolder(FullPath);
        AtomicFile.Write(Path.Combine(FullPath, NewestFile), Encoding.UTF8.GetBytes(tag + "\n"));
    }

    /// <summary>Removes the oldest partial checkpoints.</summary>
    /// <param name="kept">How many stay.</param>
    /// <param name="newest">The tag of one that stays, whatever the clocks say.</param>
    public void KeepPartial(int kept, string newest)
    {
        foreach (var tag in Tags(partial: true).Where(tag => tag != newest).Skip(kept - 1))
        {
            // It loses its name first, so that nobody finds half of it.
            var unfinished = Unfinished(tag, partial: true);
            Directory.Move(PathOf(tag, partial: true), unfinished);
            Directory.Delete(unfinished, recursive: true);
        }
    }

    private static bool IsCheckpoint(DirectoryInfo folder, bool partial) =>
        folder.Name.EndsWith(PartialSuffix, StringComparison.Ordinal) == partial && !UnfinishedName().IsMatch(folder.Name)
        && File.Exists(MarkOf(folder, partial));

    /// <summary>The file that every checkpoint of a kind has.</summary>
    private static string MarkOf(DirectoryInfo folder, bool partial) =>
        Path.Combine(folder.FullName, partial ? CheckpointIndex.FileName : WholeCheckpoint.ContentFile);

    private static void RequireTag(string tag)
    {
        if (!IsTag(tag))
        {
            throw new ArgumentException(
                $"'{tag}' cannot be the tag of a checkpoint: it names a folder. Use letters, digits, '-', '_' and '.', such as step-1000, and no "
                + $"'{PartialSuffix}' at the end.", nameof(tag));
        }
    }

    private static bool IsTag(string tag) =>
        TagName().IsMatch(tag) && tag != NewestFile && !tag.EndsWith(PartialSuffix, StringComparison.Ordinal) && !UnfinishedName().IsMatch(tag);

    [GeneratedRegex(@"\A[A-Za-z0-9_=+,@-][A-Za-z0-9_.=+,@-]{0,199}\z")]
    private static partial Regex TagName();

    [GeneratedRegex(@"\.[0-9a-f]{32}\.unfinished\z")]
    private static partial Regex UnfinishedName();
}
