using System.Text;
using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>What ranks tell all others outside of collectives: that they have failed, or that they have finished.</summary>
internal sealed unsafe class Notices : IDisposable
{
    private const int Tag = 0;
    private const int HeaderBytes = 16;
    private const int Capacity = 8192;

    private readonly MpiCommunicator _communicator;
    private readonly NativeBuffer _incoming = new(Capacity);
    private readonly Lock _lock = new();
    private readonly RankStanding[] _standings;
    private readonly List<(nint Request, NativeBuffer Memory)> _sending = [];
    private nint _receiving;

    public Notices(MpiCommunicator communicator)
    {
        _communicator = communicator;
        _standings = new RankStanding[communicator.Size];
        _receiving = communicator.Receive(_incoming.Address, Capacity, rank: null, Tag);
    }

    /// <summary>The first failure that this rank heard of, or had itself; null while all is well.</summary>
    public string? FirstFailure { get; private set; }

    /// <summary>Whether every rank has ended, has said what it had to say, and knows what this one said.</summary>
    public bool AllSaid => _sending.Count == 0 && _standings.All(standing => standing is RankStanding.Reported or RankStanding.Finished);

    /// <summary>The rank that makes the report where communication broke: the lowest of those that have asked; null while none has.</summary>
    public int? Reporter { get; private set; }

    public RankStanding Of(int rank) => _standings[rank];

    /// <summary>Tells all others how this rank stands now; what is no news is not told again.</summary>
    public void Tell(RankStanding standing, string text)
    {
        lock (_lock)
        {
            var self = _communicator.Rank;
            if (standing <= _standings[self])
                return;
            Note(self, standing, text);
            for (var rank = 0; rank < _communicator.Size; rank++)
            {
                if (rank != self)
                    Send(rank, standing, text);
            }
        }
    }

    /// <summary>Takes in what has arrived.</summary>
    public void Receive()
    {
        lock (_lock)
        {
            while (_communicator.Test(ref _receiving))
            {
                var header = (int*)_incoming.Address;
                if (header[0] >= 0 && header[0] < _standings.Length && Enum.IsDefined((RankStanding)header[1])
                    && header[2] is >= 0 and <= Capacity - HeaderBytes)
                    Note(header[0], (RankStanding)header[1], Encoding.UTF8.GetString(_incoming.Address + HeaderBytes, header[2]));
                _receiving = _communicator.Receive(_incoming.Address, Capacity, rank: null, Tag);
            }

            _sending.RemoveAll(IsDelivered);
        }
    }

    /// <summary>Listens no more.</summary>
    public void Dispose()
    {
        _communicator.Cancel(ref _receiving);
        _incoming.Dispose();
    }

    private void Send(int rank, RankStanding standing, string text)
    {
        var memory = new NativeBuffer(Capacity);
        var header = (int*)memory.Address;
        (header[0], header[1]) = (_communicator.Rank, (int)standing);
        Encoding.UTF8.GetEncoder().Convert(
            text, new Span<byte>(memory.Address + HeaderBytes, Capacity - HeaderBytes), flush: true, out _, out header[2], out _);
        _sending.Add((_communicator.Send(memory.Address, HeaderBytes + header[2], rank, Tag), memory));
    }

    private bool IsDelivered((nint Request, NativeBuffer Memory) sending)
    {
        if (!_communicator.Test(ref sending.Request))
            return false;
        sending.Memory.Dispose();
        return true;
    }

    private void Note(int rank, RankStanding standing, string text)
    {
        _standings[rank] = standing;
        if (standing is RankStanding.Failed or RankStanding.Asking or RankStanding.Reported)
            FirstFailure ??= text;
        if (standing == RankStanding.Asking)
            Reporter = Math.Min(rank, Reporter ?? rank);
    }
}
