using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace ShardSharp.Launching;

/// <summary>Where the launcher writes what its ranks write: two streams, one writer at a time, so that no line is torn.</summary>
/// <param name="output">Standard output.</param>
/// <param name="error">Standard error.</param>
/// <param name="outputIsTerminal">Whether someone watches: then rank 0 gets the terminal itself, and can draw on it.</param>
[SuppressMessage("Design", "CA1001:Types that own disposable fields should be disposable",
    Justification = "A semaphore whose wait handle is never asked for holds nothing.")]
internal sealed class LaunchConsole(Stream output, Stream error, bool outputIsTerminal)
{
    private readonly SemaphoreSlim _writing = new(1);

    public bool OutputIsTerminal { get; } = outputIsTerminal;

    public static LaunchConsole OfThisProcess() =>
        new(Console.OpenStandardOutput(), Console.OpenStandardError(), !Console.IsOutputRedirected);

    /// <summary>Writes whole lines, in UTF-8.</summary>
    public async Task WriteAsync(ReadOnlyMemory<byte> lines, bool toError)
    {
        // Whoever waits here must not hold a thread: a stopped terminal would then stop the supervisor too.
        await _writing.WaitAsync().ConfigureAwait(false);
        try
        {
            var stream = toError ? error : output;
            stream.Write(lines.Span);
            stream.Flush();
        }
        catch (IOException)
        {
            // The terminal or the reader is gone. The ranks must go on (or be ended in order) all the same, and there is no one to tell.
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Writes lines of the launcher's own on standard error.</summary>
    public Task ReportAsync(IEnumerable<string> lines) =>
        WriteAsync(Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => $"shardsharp: {line}\n"))), toError: true);
}
