using System.Net.Sockets;

namespace ShardSharp.Native;

/// <summary>Who is at the other end of a local socket, as the kernel knows it: SO_PEERCRED of unix(7).</summary>
internal static class PeerCredentials
{
    private const int SocketLevel = 1;      // SOL_SOCKET
    private const int PeerCredential = 17;  // SO_PEERCRED
    private const int UserOffset = 4;       // struct ucred: pid, uid, gid
    private const int Bytes = 12;

    /// <summary>Whether the process that connected, or listens, runs as this process's user.</summary>
    public static bool IsSameUser(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[Bytes];
        return socket.GetRawSocketOption(SocketLevel, PeerCredential, credentials) == Bytes
            && BitConverter.ToUInt32(credentials[UserOffset..]) == ProcessControl.EffectiveUserId();
    }
}
