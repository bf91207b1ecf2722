namespace ShardSharp.Modules;

/// <summary>Where tensors that do not fit in memory can go: a folder on a disk.</summary>
internal static class SpillFolder
{
    /// <summary>File systems that are memory themselves.</summary>
    private static readonly string[] InMemory = ["tmpfs", "ramfs", "hugetlbfs", "devtmpfs"];

    /// <summary>The folder that was asked for, else the temporary folder, <c>/var/tmp</c> or the current folder, the first on a disk.</summary>
    /// <exception cref="IOException">None of them will do.</exception>
    public static string Find(string? wanted, SpillPurpose? purpose = null)
    {
        string[] candidates = wanted is null ? [Path.GetTempPath(), "/var/tmp", Environment.CurrentDirectory] : [Path.GetFullPath(wanted)];
        return candidates.FirstOrDefault(IsOnDisk) ?? throw new IOException(
            $"{(purpose ??= SpillPurpose.Construction).What} needs a folder on a disk; {string.Join(", ", candidates.Select(Describe))}. "
            + $"Choose one by {purpose.FolderKey}.");
    }

    private static bool IsOnDisk(string folder) => Directory.Exists(folder) && !InMemory.Contains(new DriveInfo(folder).DriveFormat);

    private static string Describe(string folder) =>
        Directory.Exists(folder) ? $"{folder} is memory ({new DriveInfo(folder).DriveFormat})" : $"{folder} does not exist";
}
