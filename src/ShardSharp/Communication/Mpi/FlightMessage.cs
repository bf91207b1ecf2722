using System.Diagnostics;
using System.Text;

namespace ShardSharp.Communication.Mpi;

/// <summary>The flight recorder of a rank on its way to the rank that reports, as it lies in memory.</summary>
internal readonly unsafe struct FlightMessage(byte* memory)
{
    public const int Bytes = HeaderBytes + FlightLog.Bytes;

    private const int HeaderBytes = 256;
    private const int GoneCapacity = HeaderBytes - 16;

    private ref int Rank => ref *(int*)memory;

    private ref int GoneLength => ref *(int*)(memory + 4);

    /// <summary>Tick of the sender's clock, which no other host shares.</summary>
    private ref long Now => ref *(long*)(memory + 8);

    private Span<byte> GoneText => new(memory + 16, GoneCapacity);

    public void Write(int rank, string? gone, FlightLog log)
    {
        Rank = rank;
        Encoding.UTF8.GetEncoder().Convert(gone ?? "", GoneText, flush: true, out _, out GoneLength, out _);
        log.CopyTo(memory + HeaderBytes);
        Now = Stopwatch.GetTimestamp();
    }

    /// <summary>What the rank recorded, with its times as this host's clock has them; the way here is taken to be short.</summary>
    public RankFlight Read()
    {
        var (log, later) = (new FlightLog(memory + HeaderBytes), Stopwatch.GetTimestamp() - Now);
        var entries = log.Read().Select(entry => entry with { StartTimestamp = entry.StartTimestamp + later, EndTimestamp = entry.EndTimestamp + later });
        return new RankFlight(Rank, GoneLength == 0 ? null : Encoding.UTF8.GetString(GoneText[..Math.Clamp(GoneLength, 0, GoneCapacity)]), log.ReadGroups(), [.. entries]);
    }
}
