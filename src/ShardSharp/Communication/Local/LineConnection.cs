using System.Net.Sockets;

namespace ShardSharp.Communication.Local;

/// <summary>A socket over which two processes exchange lines of text while a run starts.</summary>
internal sealed class LineConnection : IDisposable
{
    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;

    /// <param name="socket">A connected socket, owned from now on.</param>
    /// <param name="patience">How long to wait for a line.</param>
    public LineConnection(Socket socket, TimeSpan patience)
    {
        _socket = socket;
        _socket.ReceiveTimeout = Math.Max(1, (int)patience.TotalMilliseconds);
        var stream = new NetworkStream(socket);
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true };
    }

    public void Say(string line) => _writer.WriteLine(line.ReplaceLineEndings(" "));

    /// <summary>Says something to a peer that may be gone by now.</summary>
    public void TrySay(string line)
    {
        try
        {
            Say(line);
        }
        catch (IOException)
        {
            // It no longer needs to know.
        }
    }

    /// <summary>The next line; null if the peer is gone or says nothing in time.</summary>
    public string? Hear()
    {
        try
        {
            return _reader.ReadLine();
        }
        catch (IOException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _reader.Dispose();
        _writer.Dispose();
        _socket.Dispose();
    }
}
