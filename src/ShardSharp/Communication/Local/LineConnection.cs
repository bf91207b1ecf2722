using System.Net.Sockets;
using System.Text;

namespace ShardSharp.Communication.Local;

/// <summary>A socket over which two processes exchange lines of text while a run starts.</summary>
internal sealed class LineConnection : IDisposable
{
    private const int LongestLine = 4096;

    private readonly Socket _socket;
    private readonly NetworkStream _stream;
    private readonly TimeSpan _patience;
    private readonly byte[] _heard = new byte[512];
    private int _next;
    private int _end;

    /// <param name="socket">A connected socket, owned from now on.</param>
    /// <param name="patience">How long to wait for a line.</param>
    public LineConnection(Socket socket, TimeSpan patience)
    {
        _socket = socket;
        _socket.ReceiveTimeout = Math.Max(1, (int)patience.TotalMilliseconds);
        _stream = new NetworkStream(socket);
        _patience = patience;
    }

    private void Say(string line) => _stream.Write(Encoding.UTF8.GetBytes(line.ReplaceLineEndings(" ") + "\n"));

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

    /// <summary>The next line; null if the peer is gone, says nothing in time, or what it says is no line.</summary>
    public string? Hear()
    {
        var line = new List<byte>();
        var started = Environment.TickCount64;
        try
        {
            while (line.Count <= LongestLine && Environment.TickCount64 - started <= _patience.TotalMilliseconds)
            {
                if (_next == _end)
                    (_next, _end) = (0, _stream.Read(_heard));
                if (_end == 0)
                    return null;
                var heard = _heard[_next++];
                if (heard == '\n')
                    return Encoding.UTF8.GetString([.. line]);
                line.Add(heard);
            }
        }
        catch (IOException)
        {
            // Gone, or silent for too long.
        }

        return null;
    }

    public void Dispose()
    {
        _stream.Dispose();
        _socket.Dispose();
    }
}
