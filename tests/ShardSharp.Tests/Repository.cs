using System.Runtime.CompilerServices;

namespace ShardSharp.Tests;

/// <summary>The files that the tests compare with the code: sources, documents and what is written from them.</summary>
internal static class Repository
{
    /// <summary>Whether files that follow from the code are to be written instead of compared: <c>UPDATE_DOCUMENTS=1</c>.</summary>
    public static bool IsUpdating { get; } = Environment.GetEnvironmentVariable("UPDATE_DOCUMENTS") == "1";

    /// <summary>The folder that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>A file or folder of the repository, by its path from the root.</summary>
    public static string PathOf(string path) => Path.Combine(Root, path);

    /// <summary>The text of a file of the repository.</summary>
    public static string Read(string path) => File.ReadAllText(PathOf(path));

    /// <summary>All C# files below a folder, by their paths from that folder, without what building put there.</summary>
    public static IEnumerable<string> Sources(string folder) => Directory
        .EnumerateFiles(PathOf(folder), "*.cs", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(PathOf(folder), file))
        .Where(file => !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"));

    private static string FindRoot([CallerFilePath] string thisFile = "")
    {
        var folder = Path.GetDirectoryName(thisFile)!;
        while (!File.Exists(Path.Combine(folder, "ShardSharp.slnx")))
            folder = Path.GetDirectoryName(folder)!;
        return folder;
    }
}
