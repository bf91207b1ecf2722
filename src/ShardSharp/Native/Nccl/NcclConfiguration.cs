using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>How to make a communicator: <c>ncclConfig_t</c> as of NCCL 2.14, which every later version takes too by its size.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NcclConfiguration
{
    /// <summary>The version whose structure this is, and the oldest that can be used: the first with communicators that do not block.</summary>
    public const int Version = 21400;

    private const uint Magic = 0xcafebeef;

    private nuint _size;
    private uint _magic;
    private uint _version;
    private int _blocking;

    /// <summary>A communicator whose functions return at once, so that it can be given up when another rank never comes.</summary>
    public static unsafe NcclConfiguration NonBlocking => new()
    {
        _size = (nuint)sizeof(NcclConfiguration),
        _magic = Magic,
        _version = Version,
        _blocking = 0,
    };
}
