using System.Buffers;
using System.Text;

namespace ShardSharp.Launching;

/// <summary>Passes one output stream of a rank on to the launcher's console, whole lines at a time.</summary>
internal static class OutputRelay
{
    private const int BufferSize = 1 << 16;

    /// <summary>Runs until the stream ends.</summary>
    /// <param name="source">What the rank writes; disposed at the end.</param>
    /// <param name="console">Where to.</param>
    /// <param name="toError">Whether the stream is the rank's standard error.</param>
    /// <param name="prefix">Put before each line.</param>
    /// <param name="exited">Completes when the rank has ended.</param>
    /// <param name="patience">
    /// How long to wait for more once the rank has ended: a process that the rank started may hold the stream open for ever.
    /// </param>
    public static async Task RunAsync(Stream source, LaunchConsole console, bool toError, string prefix, Task exited, TimeSpan patience)
    {
        using var ending = source;
        var assembler = new LineAssembler<byte>((byte)'\n', (byte)'\r', Encoding.UTF8.GetBytes(prefix));
        var lines = new ArrayBufferWriter<byte>();
        var buffer = new byte[BufferSize];
        while (await ReadAsync(source, buffer, exited, patience).ConfigureAwait(false) is > 0 and int count)
        {
            assembler.Append(buffer.AsSpan(0, count), lines);
            await PassAsync(lines, console, toError).ConfigureAwait(false);
        }

        assembler.Finish(lines);
        await PassAsync(lines, console, toError).ConfigureAwait(false);
    }

    private static async Task<int> ReadAsync(Stream source, byte[] buffer, Task exited, TimeSpan patience)
    {
        using var cancellation = new CancellationTokenSource();
        var read = source.ReadAsync(buffer, cancellation.Token).AsTask();
        if (await Task.WhenAny(read, exited).ConfigureAwait(false) != read)
            cancellation.CancelAfter(patience);
        try
        {
            return await read.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    private static async Task PassAsync(ArrayBufferWriter<byte> lines, LaunchConsole console, bool toError)
    {
        if (lines.WrittenCount == 0)
            return;
        await console.WriteAsync(lines.WrittenMemory, toError).ConfigureAwait(false);
        lines.ResetWrittenCount();
    }
}
