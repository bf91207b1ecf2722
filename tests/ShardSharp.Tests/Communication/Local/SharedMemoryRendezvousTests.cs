using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text;
using CsCheck;
using ShardSharp.Communication.Local;

namespace ShardSharp.Tests.Communication.Local;

/// <summary>Processes that do not belong to a run cannot disturb its start.</summary>
public sealed class SharedMemoryRendezvousTests
{
    private static readonly RunTerms Terms = new(TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1));

    [Fact]
    public void Strangers_are_turned_away_and_the_run_starts_all_the_same()
    {
        var job = Guid.NewGuid().ToString();
        var host = Join(job, 0);
        var noise = Gen.Byte.Array[0, 6000].Select(Gen.Bool, (bytes, startsRight) => startsRight
            ? [.. Encoding.UTF8.GetBytes(SharedMemoryRendezvous.Token(job)), (byte)'\n', .. bytes.Where(one => one != '\n')]
            : bytes);
        noise.Sample(bytes => Say(job, bytes), iter: 200, threads: 1);
        var other = Join(job, 1);
        Assert.Equal([0, 1], new[] { host, other }.Select(rank => rank.Join()));
    }

    [Fact]
    public void The_name_of_the_socket_does_not_give_the_token_away()
    {
        var job = Guid.NewGuid().ToString();
        Assert.DoesNotContain(SharedMemoryRendezvous.Token(job)[..16], SharedMemoryRendezvous.MeetingPoint(job), StringComparison.Ordinal);
        Assert.NotEqual(SharedMemoryRendezvous.Token(job), SharedMemoryRendezvous.Token(job + " "));
    }

    [Fact]
    [SupportedOSPlatform("linux")]
    public void A_region_is_its_users_alone()
    {
        using var region = SharedMemoryRegion.Create("test", 4096);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(region.Path));
    }

    private static void Say(string job, byte[] bytes)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        SpinWait.SpinUntil(() => IsConnected(socket, job));
        try
        {
            for (var sent = 0; sent < bytes.Length;)
                sent += socket.Send(bytes.AsSpan(sent));
        }
        catch (SocketException)
        {
            // The host may have heard enough.
        }
    }

    private static bool IsConnected(Socket socket, string job)
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint($"\0{SharedMemoryRendezvous.MeetingPoint(job)}"));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static Joining Join(string job, int rank) => new(job, rank);

    /// <summary>A rank on a thread of its own that joins, meets the others and leaves.</summary>
    private sealed class Joining
    {
        private readonly Thread _thread;
        private Exception? _failure;

        public Joining(string job, int rank)
        {
            _thread = new Thread(() =>
            {
                try
                {
                    using var group = new SharedMemoryRendezvous(job, 2, Terms).Join(rank).Group;
                    group.Barrier();
                }
                catch (Exception failure)
                {
                    _failure = failure;
                }
            });
            Rank = rank;
            _thread.Start();
        }

        private int Rank { get; }

        public int Join()
        {
            _thread.Join();
            Assert.Null(_failure);
            return Rank;
        }
    }
}
