namespace ShardSharp.Native;

/// <summary>What ranks that are processes need from the operating system beyond .NET: the seam between the launcher and Linux.</summary>
internal abstract class HostPlatform
{
    /// <summary>The platform this process runs on; stateless.</summary>
    public static HostPlatform Current { get; } = OperatingSystem.IsLinux() ? new LinuxPlatform() : new OtherPlatform();

    /// <summary>The words this process was started with, the program itself first, as the system got them; null where unknown.</summary>
    public abstract string[]? CommandLine();

    /// <summary>The process that started this one; null where unknown.</summary>
    public abstract int? ParentProcessId();

    /// <summary>Refuses, with what would work instead, where ranks cannot be processes.</summary>
    /// <exception cref="PlatformNotSupportedException">The system is not Linux.</exception>
    public abstract void RequireRankProcesses();

    /// <summary>
    /// Makes the system kill this process when the thread that started it ends. A process behind some wrapper program is tied to that
    /// wrapper.
    /// </summary>
    /// <param name="launcher">The launcher, which must still be alive.</param>
    /// <exception cref="InvalidOperationException">The launcher has already ended.</exception>
    public abstract void EndWithLauncher(ProcessIdentity launcher);

    /// <summary>Asks a process to end (SIGTERM); one that has ended already is left alone.</summary>
    public abstract void Terminate(int processId);

    /// <summary>Ends a process at once (SIGKILL); one that has ended already is left alone.</summary>
    public abstract void Kill(int processId);

    /// <summary>
    /// Removes what .NET leaves in the temporary folder for a process that was killed: the sockets of its debugger and diagnostics.
    /// </summary>
    /// <param name="processId">A .NET process of this user that has ended; one that lives is left alone.</param>
    public abstract void RemoveRuntimeFiles(int processId);

    /// <summary>The living processes of this user that were started with the given environment variable at the given value.</summary>
    public abstract IReadOnlyList<int> ProcessesWithEnvironment(string variable, string value);

    /// <summary>Makes the names of the files in a folder survive a loss of power, as flushing a file does for its content.</summary>
    /// <exception cref="IOException">The folder cannot be opened or flushed.</exception>
    public abstract void FlushFolder(string path);

    /// <summary>Makes two folders of one file system change their names, in one step where the system can.</summary>
    /// <exception cref="IOException">The folders cannot be renamed.</exception>
    public abstract void ExchangeFolders(string first, string second);
}
