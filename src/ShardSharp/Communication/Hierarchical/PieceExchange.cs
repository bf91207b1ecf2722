using ShardSharp.Communication.Mpi;

namespace ShardSharp.Communication.Hierarchical;

/// <summary>Brings every member the pieces that all members have for it, one message per member and other host.</summary>
/// <remarks>
/// The ranks of a host first give each other, through shared memory, what they have for the members of another host: for each of those one
/// rank here collects all pieces and sends them as one message, straight to where they belong. Two steps are under way at once.
/// </remarks>
/// <param name="all">All members, through MPI.</param>
/// <param name="local">The members on this host, through shared memory.</param>
/// <param name="map">Who is where.</param>
internal sealed unsafe class PieceExchange(MpiProcessGroup all, ProcessGroup local, HostMap map) : IDisposable
{
    private const int MostStaging = 4 * 1024 * 1024;

    /// <summary>A cache line, which holds a whole number of elements of any type.</summary>
    private const int Alignment = 64;

    private readonly MpiTransfers[] _transfers = [new MpiTransfers(all, all.CollectiveTag), new MpiTransfers(all, all.CollectiveTag)];
    private readonly NativeBuffer?[] _arrived = new NativeBuffer?[2];
    private readonly NativeBuffer?[] _leaving = new NativeBuffer?[2];
    private readonly long[] _length = new long[2];

    /// <summary>Bytes of the longest piece.</summary>
    public int PieceBytes { get; } = Math.Max(Alignment, Math.Min(MpiProcessGroup.StepBytes, MostStaging / all.Size / Alignment * Alignment));

    private int Host => map.HostOf(all.Rank);

    /// <summary>Begins a step; the one before the last must be complete.</summary>
    /// <param name="call">The collective that the pieces belong to.</param>
    /// <param name="step">Number of the step.</param>
    /// <param name="length">Bytes of a piece.</param>
    /// <param name="pieceFor">This rank's piece for a member.</param>
    public void Begin(in CollectiveCall call, int step, long length, Func<int, FlatBuffer> pieceFor)
    {
        _length[step & 1] = length;
        var arrived = _arrived[step & 1] ??= new NativeBuffer((long)PieceBytes * all.Size);
        var transfers = _transfers[step & 1];
        for (var host = 0; host < map.Hosts; host++)
        {
            var pieces = new FlatBuffer(arrived.Address + (map.FirstPlaceOf(host) * length), length * map.MembersOn(host).Count);
            if (host != Host)
                transfers.Receive(map.DeputyOf(all.Rank, host), pieces, 0, pieces.Length);
            else
                Collect(call, map.MembersOn(host), pieceFor, pieces);
        }

        var leaving = new FlatBuffer((_leaving[step & 1] ??= new NativeBuffer(LeavingBytes)).Address, LeavingBytes);
        for (var distance = 1; distance < map.Hosts; distance++)
        {
            // Every host begins with another one, so that not all send to the same at once.
            foreach (var members in map.MembersOn((Host + distance) % map.Hosts).Chunk(local.Size))
            {
                var bundle = leaving.Slice(0, length * local.Size);
                Collect(call, members, pieceFor, bundle);
                if (map.PlaceOf(all.Rank) >= members.Length)
                    continue;
                transfers.Send(members[map.PlaceOf(all.Rank)], bundle, 0, bundle.Length);
                leaving = leaving.Slice(bundle.Length, leaving.Length - bundle.Length);
            }
        }
    }

    /// <summary>Returns when all pieces of a step have come.</summary>
    public void Complete(int step) => _transfers[step & 1].Complete(all.Current);

    /// <summary>Where the piece of a member lies after its step is complete, until two steps later.</summary>
    public byte* Piece(int step, int member) => _arrived[step & 1]!.Address
        + ((map.FirstPlaceOf(map.HostOf(member)) + map.PlaceOf(member)) * _length[step & 1]);

    /// <summary>After an error: nothing shall arrive any more. Memory is given up rather than freed, since messages may be on their way.</summary>
    public void Abandon()
    {
        foreach (var transfers in _transfers)
            transfers.Dispose();
    }

    public void Dispose()
    {
        foreach (var memory in (NativeBuffer?[])[.. _arrived, .. _leaving])
            memory?.Dispose();
    }

    /// <summary>Room for a bundle per other member that this rank collects for, and for one more.</summary>
    private long LeavingBytes => (long)PieceBytes * local.Size
        * (1 + Enumerable.Range(0, map.Hosts).Where(host => host != Host).Sum(host => (map.MembersOn(host).Count + local.Size - 1) / local.Size));

    /// <summary>Has the ranks of this host collect, each for one of some members, what all of them have for it, in rank order.</summary>
    private void Collect(in CollectiveCall call, IReadOnlyList<int> members, Func<int, FlatBuffer> pieceFor, FlatBuffer bundle)
    {
        if (members.Count == local.Size)
        {
            local.Perform(call with { Kind = CollectiveKind.AllToAll, Input = FlatBuffer.Of([.. members.Select(pieceFor)]), Output = bundle });
            return;
        }

        for (var place = 0; place < members.Count; place++)
        {
            local.Perform(call with
            {
                Kind = CollectiveKind.Gather,
                Input = pieceFor(members[place]),
                Output = map.PlaceOf(all.Rank) == place ? bundle : default,
                Peer = place,
            });
        }
    }
}
