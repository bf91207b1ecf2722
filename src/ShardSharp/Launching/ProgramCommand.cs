using ShardSharp.Native;

namespace ShardSharp.Launching;

/// <summary>A program and its arguments, ready to be started.</summary>
internal sealed record ProgramCommand(string FileName, IReadOnlyList<string> Arguments)
{
    /// <summary>How to start the running program once more, with every argument exactly as it was given.</summary>
    /// <exception cref="PlatformNotSupportedException">The system does not tell which program this process runs.</exception>
    public static ProgramCommand OfThisProcess() => Again(
        Environment.ProcessPath ?? throw new PlatformNotSupportedException("The system does not tell which program this process runs."),
        HostPlatform.Current.CommandLine(),
        Environment.GetCommandLineArgs());

    /// <summary>
    /// .NET programs start in two ways. An application host (also a single file, and what `dotnet run` starts) is the program itself. The
    /// `dotnet` command is given the program's dll, after options of its own (`dotnet exec --roll-forward Major program.dll`).
    /// </summary>
    /// <param name="processPath">The running executable.</param>
    /// <param name="commandLine">The whole command line, or null where the system does not tell: options of `dotnet` are lost.</param>
    /// <param name="managedArguments">The program's dll (or the single file) and the program's own arguments.</param>
    internal static ProgramCommand Again(string processPath, string[]? commandLine, string[] managedArguments)
    {
        // What .NET leaves out of the arguments it shows is what `dotnet` was given before the program.
        var wordsOfDotnet = commandLine is null
            ? (Path.GetFileNameWithoutExtension(processPath) == "dotnet" ? 1 : 0)
            : commandLine.Length - managedArguments.Length;
        if (wordsOfDotnet <= 0)
            return new ProgramCommand(processPath, managedArguments[1..]);

        // .NET shows the dll by its full path, which still holds where the program has changed the current folder.
        var hostOptions = commandLine is null ? [] : commandLine[1..wordsOfDotnet];
        return new ProgramCommand(processPath, [.. hostOptions, .. managedArguments]);
    }
}
