using System.Runtime.InteropServices;
using ShardSharp.Native;

namespace ShardSharp.Cli.Doctor;

/// <summary>What the doctor asks of a machine; tests answer for machines that are not at hand.</summary>
/// <param name="Environment">The environment variables.</param>
internal sealed record DoctorHost(IReadOnlyDictionary<string, string> Environment)
{
    /// <summary>The text of a file; null where it cannot be read.</summary>
    public Func<string, string?> Read { get; init; } = ReadFile;

    /// <summary>The path of a shared library that loads by its name; null where none does.</summary>
    public Func<string, string?> FindLibrary { get; init; } = LoadAndLocate;

    /// <summary>The NCCL library of that name or path, of the system without one, in words; null where there is none.</summary>
    /// <exception cref="NotSupportedException">It is too old.</exception>
    public Func<string?, string?> FindNccl { get; init; } = DescribeNccl;

    /// <summary>Bytes of a file system and bytes free in it; null where there is none.</summary>
    public Func<string, (long Total, long Free)?> Room { get; init; } = RoomOf;

    /// <summary>Cores that this process may use, as .NET sees them.</summary>
    public int AvailableCores { get; init; } = System.Environment.ProcessorCount;

    /// <summary>The first folder of PATH that has a program.</summary>
    public string? FindProgram(string name) => Environment.GetValueOrDefault("PATH", "").Split(Path.PathSeparator)
        .Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    private static string? ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string? LoadAndLocate(string name)
    {
        // Loading initialises neither MPI nor a GPU: that takes a call.
        if (!NativeLibrary.TryLoad(name, out var handle))
            return null;
        var path = OperatingSystem.IsLinux() ? LoadedLibraries.Find(name) : null;
        NativeLibrary.Free(handle);
        return path ?? name;
    }

    private static string? DescribeNccl(string? named)
    {
        try
        {
            return NcclLibrary.Load(NcclLibrary.Candidates(named, [])).Description;
        }
        catch (DllNotFoundException)
        {
            return null;
        }
    }

    private static (long Total, long Free)? RoomOf(string folder)
    {
        if (!Directory.Exists(folder))
            return null;
        var drive = new DriveInfo(folder);
        return (drive.TotalSize, drive.AvailableFreeSpace);
    }
}
