using System.Globalization;
using System.Runtime.InteropServices;
using ShardSharp.Native;
using ShardSharp.Topology;

namespace ShardSharp.Launching;

/// <summary>
/// A rank's tie to the local launcher that started it: the rank dies when the launcher does, however that happens, and leaves Ctrl-C and a
/// closed terminal, which the system tells every process of the terminal, to the launcher, which then ends the ranks with SIGTERM.
/// </summary>
internal sealed class LauncherBinding : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;
    private volatile bool _isEnding;

    private LauncherBinding() => _registrations =
    [
        LeaveToLauncher(PosixSignal.SIGINT),
        LeaveToLauncher(PosixSignal.SIGHUP),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => _isEnding = true),
    ];

    /// <summary>Whether this rank has been told to end.</summary>
    public bool IsEnding => _isEnding;

    /// <summary>Binds this process to the launcher its environment names; to be called early, and held as long as the rank runs.</summary>
    /// <returns>The binding, or null where the rank was started by something else.</returns>
    /// <exception cref="InvalidOperationException">The launcher has already ended.</exception>
    public static LauncherBinding? FromEnvironment()
    {
        if (Environment.GetEnvironmentVariable(RankVariables.Launcher) is not { } value)
            return null;
        var parts = value.Split(':');
        if (parts.Length != 2
            || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            || !long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var startTicks))
        {
            throw new InvalidOperationException(
                $"{RankVariables.Launcher}='{value}' names no launcher: it should be a process id, a colon and a tick.");
        }

        HostPlatform.Current.EndWithLauncher(new ProcessIdentity(id, startTicks));
        return new LauncherBinding();
    }

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }

    private static PosixSignalRegistration LeaveToLauncher(PosixSignal signal) =>
        PosixSignalRegistration.Create(signal, context => context.Cancel = true);
}
