using System.Buffers;
using System.Text;
using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

/// <summary>A launcher's console that keeps what is written, and can tell when it has been.</summary>
internal sealed class RecordingConsole
{
    private readonly ArrayBufferWriter<byte> _output = new();
    private readonly ArrayBufferWriter<byte> _error = new();

    public RecordingConsole(bool outputIsTerminal = false, Action<string>? outputWritten = null) =>
        Console = new LaunchConsole(new Recorder(_output, outputWritten), new Recorder(_error, written: null), outputIsTerminal);

    public LaunchConsole Console { get; }

    public string Output => Encoding.UTF8.GetString(_output.WrittenSpan);

    public string Error => Encoding.UTF8.GetString(_error.WrittenSpan);

    public static string[] Sorted(string text) =>
        [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal)];

    private sealed class Recorder(ArrayBufferWriter<byte> record, Action<string>? written) : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            record.Write(buffer);
            written?.Invoke(Encoding.UTF8.GetString(record.WrittenSpan));
        }
    }
}
