using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>Messages of one step of an operation, under way at once.</summary>
/// <remarks>
/// A message is never longer than some <see cref="MpiProcessGroup.StepBytes"/>, so a count always fits the C int of MPI's functions. A
/// range that lies in one piece travels from and to where it is; others are packed.
/// </remarks>
internal sealed unsafe class MpiTransfers(MpiProcessGroup group, int tag) : IDisposable
{
    private readonly record struct Transfer(nint Request, int Peer, bool Receives, NativeBuffer? Packed, FlatBuffer Buffer, long Offset, int Length);

    private readonly List<Transfer> _underWay = [];

    private MpiCommunicator Communicator => group.World.Communicator;

    /// <summary>Begins to send a range of a buffer to a member.</summary>
    public void Send(int peer, FlatBuffer buffer, long offset, long length)
    {
        if (length == 0)
            return;
        var address = Whole(buffer, offset, length);
        var packed = address == null ? new NativeBuffer(length) : null;
        if (packed is not null)
            buffer.Read(offset, address = packed.Address, length);
        Post(Communicator.Send(address, (int)length, group.GlobalRanks[peer], tag), peer, receives: false, packed, buffer, offset, length);
    }

    /// <summary>Begins to receive a range of a buffer from a member.</summary>
    public void Receive(int peer, FlatBuffer buffer, long offset, long length)
    {
        if (length == 0)
            return;
        var address = Whole(buffer, offset, length);
        var packed = address == null ? new NativeBuffer(length) : null;
        if (packed is not null)
            address = packed.Address;
        Post(Communicator.Receive(address, (int)length, group.GlobalRanks[peer], tag), peer, receives: true, packed, buffer, offset, length);
    }

    /// <summary>Returns when all that was begun is done.</summary>
    public void Complete(in PublishedCall call)
    {
        for (var i = 0; i < _underWay.Count; i++)
        {
            var transfer = _underWay[i];
            var request = transfer.Request;
            group.World.Wait(ref request, call.WaitFor(transfer.Peer));
            _underWay[i] = transfer with { Request = 0 };
            if (transfer.Packed is not { } packed)
                continue;
            if (transfer.Receives)
                transfer.Buffer.Write(transfer.Offset, packed.Address, transfer.Length);
            packed.Dispose();
        }

        _underWay.Clear();
    }

    /// <summary>After an error: whatever has not arrived shall not be written into memory that the caller takes back.</summary>
    /// <remarks>Packed memory is given up rather than freed: a message may be on its way into or out of it.</remarks>
    public void Dispose()
    {
        foreach (var transfer in _underWay.Where(transfer => transfer.Request != 0 && transfer.Receives))
        {
            var request = transfer.Request;
            Communicator.Cancel(ref request);
        }

        _underWay.Clear();
    }

    private void Post(nint request, int peer, bool receives, NativeBuffer? packed, FlatBuffer buffer, long offset, long length) =>
        _underWay.Add(new Transfer(request, peer, receives, packed, buffer, offset, (int)length));

    /// <summary>Where a range begins if it lies in one piece; else null.</summary>
    private static byte* Whole(FlatBuffer buffer, long offset, long length)
    {
        foreach (var run in buffer.Runs(offset, length))
            return run.Length == length ? run.Address : null;
        return null;
    }
}
