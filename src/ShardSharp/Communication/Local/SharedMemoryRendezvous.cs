using System.Globalization;
using System.Net.Sockets;
using ShardSharp.Native;

namespace ShardSharp.Communication.Local;

/// <summary>Where the processes of one host meet to become the ranks of a run.</summary>
/// <remarks>
/// Rank 0 creates the shared memory and listens on an abstract Unix socket (unix(7)) named after the job; the others ask there where the
/// memory is. Neither has a name in the file system, so whatever happens to the processes, nothing stays behind. Any user's process can
/// connect to such a socket: only those of this user that know the job's name are answered.
/// </remarks>
/// <param name="job">Names the run on this host; the same on all its ranks, different from any other run's.</param>
/// <param name="size">Ranks of the run.</param>
/// <param name="terms">How long to wait for all ranks to come, and for each other afterwards.</param>
/// <param name="globalRanks">World rank of every one, where the run has ranks on other hosts too; else null.</param>
internal sealed class SharedMemoryRendezvous(string job, int size, RunTerms terms, IReadOnlyList<int>? globalRanks = null)
{
    private const string Entered = "entered";
    private const string Begin = "begin";

    /// <summary>How long a process that has connected may take for its next words; the ranks speak at once.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly long _end = Environment.TickCount64 + (long)terms.RendezvousTimeout.TotalMilliseconds;
    private readonly SharedMemorySource _regions = new();

    // Knowing the socket's name, which everybody can see, does not give it away.
    private readonly string _token = Token(job);

    private readonly UnixDomainSocketEndPoint _meetingPoint = new($"\0{MeetingPoint(job)}");

    /// <summary>The name of the socket. It has room for 107 bytes; schedulers' job names may be longer.</summary>
    public static string MeetingPoint(string job) => $"shardsharp-{Environment.UserName}-{Convert.ToHexStringLower(
        System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(job)))[..32]}";

    /// <summary>What a process that belongs to the run says first.</summary>
    public static string Token(string job) => Convert.ToHexStringLower(
        System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"token of {job}")));

    /// <summary>Joins as a rank and returns when all ranks have come.</summary>
    /// <exception cref="CommunicationException">Ranks are missing, or another run has the same job name.</exception>
    public LocalWorld Join(int rank) => rank == 0 ? Host() : Visit(rank);

    private LocalWorld Host()
    {
        using var listener = Listen();
        var region = _regions.Create("world", LocalWorld.BytesFor(size), out var address);
        var world = new LocalWorld(_regions, region, 0, size, terms, globalRanks);
        var visitors = new List<LineConnection>();
        try
        {
            while (visitors.Count < size - 1)
                visitors.Add(Admit(listener, world, address));
            visitors.ForEach(visitor => visitor.TrySay(Begin));
        }
        catch (Exception failure)
        {
            visitors.ForEach(visitor => visitor.TrySay($"!{failure.Message}"));
            world.Group.Dispose();
            throw;
        }
        finally
        {
            visitors.ForEach(visitor => visitor.Dispose());
        }

        _regions.Published(region, address);
        return world;
    }

    private Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(_meetingPoint);
            listener.Listen(size);
            return listener;
        }
        catch (SocketException taken) when (taken.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            listener.Dispose();
            throw new CommunicationException(
                $"Run '{job}' has a rank 0 on this host already: either two of its processes were given the same rank, or two runs the same job "
                + "name.", taken);
        }
    }

    private LineConnection Admit(Socket listener, LocalWorld world, string address)
    {
        while (true)
        {
            if (!listener.Poll(Remaining(), SelectMode.SelectRead))
            {
                throw new CommunicationException($"After {terms.RendezvousTimeout.TotalSeconds:F0} s (rendezvous_timeout_seconds) these of {size} ranks have not "
                    + $"started or have not reached ModelParallel.Launch: {string.Join(", ", world.Roster.Missing())}.");
            }

            var socket = listener.Accept();
            var visitor = new LineConnection(socket, Remaining() < Patience ? Remaining() : Patience);
            if (!PeerCredentials.IsSameUser(socket) || visitor.Hear() != _token)
            {
                visitor.Dispose();
                continue;
            }

            var greeting = visitor.Hear();
            if (world.Roster.Missing().Any(rank => Greeting(rank, size) == greeting))
            {
                visitor.TrySay(address);
                if (visitor.Hear() == Entered)
                    return visitor;
            }
            else if (greeting is not null)
            {
                // More ranks than this one now wait for something that cannot happen.
                var message = $"Run '{job}' has ranks 0 to {size - 1}, each of them once, but a process came as rank {greeting}: either processes "
                    + "were given the wrong rank or number of ranks, or two runs the same job name.";
                visitor.TrySay($"!{message}");
                visitor.Dispose();
                throw new CommunicationException(message);
            }

            visitor.Dispose();
        }
    }

    private LocalWorld Visit(int rank)
    {
        using var host = Connect(rank);
        host.TrySay(_token);
        host.TrySay(Greeting(rank, size));
        var region = OpenWorld(Answer(host));
        var world = new LocalWorld(_regions, region, rank, size, terms, globalRanks);
        try
        {
            host.TrySay(Entered);
            _ = Answer(host);
            return world;
        }
        catch
        {
            world.Group.Dispose();
            throw;
        }
    }

    private SharedMemoryRegion OpenWorld(string address)
    {
        try
        {
            return SharedMemoryRegion.Open(address, LocalWorld.BytesFor(size));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new CommunicationException(
                $"Rank 0 of run '{job}' names memory that is not there: {failure.Message} It may have ended, or run in another container.", failure);
        }
    }

    private LineConnection Connect(int rank)
    {
        // A listener that is not there yet gives no event to wait for, so ask again until it is.
        using var never = new ManualResetEventSlim();
        while (true)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                socket.Connect(_meetingPoint);
                if (!PeerCredentials.IsSameUser(socket))
                {
                    socket.Dispose();
                    throw new CommunicationException($"Another user's process pretends to be rank 0 of run '{job}' on this host.");
                }

                return new LineConnection(socket, Remaining());
            }
            catch (SocketException) when (Remaining() > TimeSpan.Zero)
            {
                socket.Dispose();
                never.Wait(TimeSpan.FromMilliseconds(5));
            }
            catch (SocketException refused)
            {
                socket.Dispose();
                throw new CommunicationException($"Rank {rank} waited {terms.RendezvousTimeout.TotalSeconds:F0} s (rendezvous_timeout_seconds) for rank 0 of run "
                    + $"'{job}', which has not started on this host or has not reached ModelParallel.Launch.", refused);
            }
        }
    }

    private static string Answer(LineConnection host)
    {
        var answer = host.Hear() ?? "!Rank 0 ended while the run was starting.";
        return answer.StartsWith('!') ? throw new CommunicationException(answer[1..]) : answer;
    }

    private static string Greeting(int rank, int size) => string.Create(CultureInfo.InvariantCulture, $"{rank} of {size}");

    private TimeSpan Remaining() => TimeSpan.FromMilliseconds(Math.Max(0, _end - Environment.TickCount64));
}
