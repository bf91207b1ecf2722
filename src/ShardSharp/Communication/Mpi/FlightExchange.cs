using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Communication.Mpi;

/// <summary>Brings what all ranks recorded to the one that reports a failure.</summary>
/// <remarks>
/// One rank of each host sends what the ranks of its host recorded, the dead ones too. Nobody is waited for beyond a time: who is silent
/// by then is named as such.
/// </remarks>
/// <param name="communicator">The job.</param>
internal sealed unsafe class FlightExchange(MpiCommunicator communicator)
{
    /// <summary>The tag that no group and no notice has.</summary>
    private const int Tag = 1;

    private readonly List<nint> _sending = [];
    private readonly Lock _lock = new();
    private IReadOnlyList<NativeBuffer> _mine = [];
    private int _answered = int.MaxValue;

    /// <summary>Keeps what this rank answers with from now on.</summary>
    public void Offer(IEnumerable<(int Rank, string? Gone, FlightLog Log)> flights)
    {
        lock (_lock)
        {
            _mine = [.. flights.Select(flight =>
            {
                // Given up rather than freed: the run is over, and a message may be on its way out of it.
                var memory = new NativeBuffer(FlightMessage.Bytes);
                new FlightMessage(memory.Address).Write(flight.Rank, flight.Gone, flight.Log);
                return memory;
            })];
        }
    }

    /// <summary>Sends what was offered to the rank that reports, if it does not have it.</summary>
    public void Answer(int reporter)
    {
        lock (_lock)
        {
            if (_mine.Count > 0 && reporter < _answered && reporter != communicator.Rank)
            {
                _answered = reporter;
                foreach (var memory in _mine)
                    _sending.Add(communicator.Send(memory.Address, FlightMessage.Bytes, reporter, Tag));
            }

            _sending.RemoveAll(request => communicator.Test(ref request));
        }
    }

    /// <summary>Collects what all ranks offer, this one's own included.</summary>
    /// <param name="patience">How long ranks may be silent, as it is by now.</param>
    /// <param name="advance">Called between two looks; says whether to go on.</param>
    /// <returns>Whose records came, in rank order; null if it was not to go on.</returns>
    public IReadOnlyList<RankFlight>? Collect(Func<TimeSpan> patience, Func<int, bool> advance)
    {
        var flights = new SortedDictionary<int, RankFlight>();
        foreach (var memory in _mine)
            Add(memory);
        var incoming = new NativeBuffer(FlightMessage.Bytes);
        var started = Stopwatch.GetTimestamp();
        var receiving = communicator.Receive(incoming.Address, FlightMessage.Bytes, rank: null, Tag);
        var goesOn = true;
        for (var i = 0; goesOn && flights.Count < communicator.Size && Stopwatch.GetElapsedTime(started) < patience(); i++)
        {
            while (communicator.Test(ref receiving))
            {
                Add(incoming);
                receiving = communicator.Receive(incoming.Address, FlightMessage.Bytes, rank: null, Tag);
            }

            goesOn = advance(i);
        }

        communicator.Cancel(ref receiving);
        return goesOn ? [.. Enumerable.Range(0, communicator.Size).Select(rank => flights.GetValueOrDefault(rank) ?? RankFlight.Silent(rank))] : null;

        void Add(NativeBuffer memory)
        {
            var flight = new FlightMessage(memory.Address).Read();
            if (flight.Rank >= 0 && flight.Rank < communicator.Size)
                flights[flight.Rank] = flight;
        }
    }
}
