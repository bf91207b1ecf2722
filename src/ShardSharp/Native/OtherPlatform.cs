using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>Systems on which ranks run as threads only.</summary>
internal sealed class OtherPlatform : HostPlatform
{
    public override string[]? CommandLine() => null;

    public override int? ParentProcessId() => null;

    public override void RequireRankProcesses() => throw NotSupported();

    public override void EndWithLauncher(ProcessIdentity launcher) => throw NotSupported();

    public override void Terminate(int processId) => throw NotSupported();

    public override void Kill(int processId) => throw NotSupported();

    public override void RemoveRuntimeFiles(int processId) => throw NotSupported();

    public override IReadOnlyList<int> ProcessesWithEnvironment(string variable, string value) => throw NotSupported();

    /// <summary>Other systems keep the order in which names and contents are written.</summary>
    public override void FlushFolder(string path)
    {
    }

    public override void ExchangeFolders(string first, string second)
    {
        var aside = $"{second}.{Guid.NewGuid():N}";
        Directory.Move(second, aside);
        Directory.Move(first, second);
        Directory.Move(aside, first);
    }

    private static PlatformNotSupportedException NotSupported() => new(
        $"Ranks as local processes need Linux, and this is {RuntimeInformation.OSDescription.Trim()}. " +
        "Run the ranks as threads of one process: --backend threads.");
}
