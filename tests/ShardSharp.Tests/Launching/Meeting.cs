using System.Net.Sockets;

namespace ShardSharp.Tests.Launching;

/// <summary>A socket at which ranks that wait report to a test: it learns who they are, and when they are gone.</summary>
internal sealed class Meeting : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardsharp-test-");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Socket> _ranks = [];

    public Meeting()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(Path));
        _listener.Listen();
    }

    public string Path => System.IO.Path.Combine(_folder.FullName, "socket");

    /// <summary>Waits for ranks to come.</summary>
    /// <returns>Their process ids.</returns>
    public async Task<int[]> AcceptAsync(int ranks)
    {
        var processes = new int[ranks];
        for (var i = 0; i < ranks; i++)
        {
            var rank = await _listener.AcceptAsync(TestContext.Current.CancellationToken);
            _ranks.Add(rank);
            var buffer = new byte[sizeof(int)];
            Assert.Equal(buffer.Length, await rank.ReceiveAsync(buffer, TestContext.Current.CancellationToken));
            processes[i] = BitConverter.ToInt32(buffer);
        }

        return processes;
    }

    /// <summary>Waits until the system has closed the sockets of all ranks, as it does with a process that ends.</summary>
    public async Task AllGoneAsync()
    {
        foreach (var rank in _ranks)
            Assert.Equal(0, await rank.ReceiveAsync(new byte[1], TestContext.Current.CancellationToken));
    }

    public void Dispose()
    {
        _ranks.ForEach(rank => rank.Dispose());
        _listener.Dispose();
        _folder.Delete(recursive: true);
    }
}
