using System.Runtime.InteropServices;

namespace ShardSharp.Communication.Mpi;

/// <summary>Memory that stays in place, so that messages can be received into it in the background.</summary>
internal sealed unsafe class NativeBuffer(long length) : IDisposable
{
    public byte* Address { get; private set; } = (byte*)NativeMemory.AlignedAlloc((nuint)length, 64);

    public void Dispose()
    {
        NativeMemory.AlignedFree(Address);
        Address = null;
    }
}
