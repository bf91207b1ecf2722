using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace ShardSharp.Native;

/// <summary>Linux: signals, the parent-death signal, and what /proc tells (man 5 proc, man 2 prctl).</summary>
internal sealed class LinuxPlatform : HostPlatform
{
    public override string[]? CommandLine()
    {
        var text = File.ReadAllText("/proc/self/cmdline");
        return text.Length == 0 ? null : text[..^1].Split('\0');
    }

    public override int? ParentProcessId() => ProcessControl.ParentProcessId();

    public override void RequireRankProcesses()
    {
    }

    public override void EndWithLauncher(ProcessIdentity launcher)
    {
        if (ProcessControl.Control(ProcessControl.SetParentDeathSignal, ProcessControl.KillSignal, 0, 0, 0) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "prctl(PR_SET_PDEATHSIG) failed");

        // The signal is sent for deaths from now on: one that has happened by now shows in who the parent is.
        if (ProcessControl.ParentProcessId() != launcher.Id && !launcher.IsAlive)
            throw new InvalidOperationException($"The launcher of this rank (process {launcher.Id}) has ended.");
    }

    public override void Terminate(int processId) => Send(processId, ProcessControl.TerminateSignal);

    public override void Kill(int processId) => Send(processId, ProcessControl.KillSignal);

    public override void RemoveRuntimeFiles(int processId)
    {
        if (Directory.Exists($"/proc/{processId}"))
            return;

        // https://learn.microsoft.com/dotnet/core/diagnostics/diagnostic-port: the names go on with
        // when the process started.
        foreach (var pattern in (string[])[$"dotnet-diagnostic-{processId}-*-socket", $"clr-debug-pipe-{processId}-*"])
        {
            foreach (var file in Directory.EnumerateFiles(Path.GetTempPath(), pattern))
                File.Delete(file);
        }
    }

    public override IReadOnlyList<int> ProcessesWithEnvironment(string variable, string value)
    {
        var entry = Encoding.UTF8.GetBytes($"\0{variable}={value}\0");
        var found = new List<int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var processId)
                && ReadEnvironment(folder).AsSpan().IndexOf(entry) >= 0)
            {
                found.Add(processId);
            }
        }

        return found;
    }

    public override void FlushFolder(string path) => FolderFlush.Flush(path);

    public override void ExchangeFolders(string first, string second) => FolderExchange.Exchange(first, second);

    private static void Send(int processId, int signal)
    {
        if (ProcessControl.Send(processId, signal) != 0 && Marshal.GetLastPInvokeError() is not ProcessControl.NoSuchProcess and int error)
            throw new Win32Exception(error, $"Sending signal {signal} to process {processId} failed");
    }

    /// <summary>The entries of a process's environment, a NUL before each; empty for one that has ended or is another user's.</summary>
    private static byte[] ReadEnvironment(string folder)
    {
        try
        {
            return [0, .. File.ReadAllBytes(Path.Combine(folder, "environ"))];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
