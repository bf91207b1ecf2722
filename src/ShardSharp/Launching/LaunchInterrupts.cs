using System.Runtime.InteropServices;
using System.Threading.Channels;

namespace ShardSharp.Launching;

/// <summary>
/// Ctrl-C, SIGTERM and SIGHUP while a launch runs: queued by number for the supervisor, which ends the ranks first. Signals that the
/// launcher was started to ignore (nohup) stay ignored; .NET sees to that.
/// </summary>
internal sealed class LaunchInterrupts : IDisposable
{
    private readonly Channel<int> _signals = Channel.CreateUnbounded<int>();
    private readonly PosixSignalRegistration[] _registrations;

    public LaunchInterrupts() => _registrations =
        [Queue(PosixSignal.SIGINT, 2), Queue(PosixSignal.SIGTERM, 15), Queue(PosixSignal.SIGHUP, 1)];

    /// <summary>The signals that came, by number, in order.</summary>
    public ChannelReader<int> Signals => _signals.Reader;

    /// <summary>Queues a signal as if it had come.</summary>
    public void Post(int number) => _signals.Writer.TryWrite(number);

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }

    private PosixSignalRegistration Queue(PosixSignal signal, int number) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        Post(number);
    });
}
