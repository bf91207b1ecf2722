using System.Diagnostics;
using System.Runtime.CompilerServices;
using ShardSharp.Communication;
using ShardSharp.Diagnostics;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly long _started = Stopwatch.GetTimestamp();

    /// <summary>The latest collectives and messages of this rank, in all its groups.</summary>
    public FlightRecorder FlightRecorder => Groups.World.Recorder;

    /// <summary>Finds out which ranks the others wait for; every rank calls it and gets the same.</summary>
    /// <param name="file">Filled in by the compiler, for error reports.</param>
    /// <param name="line">Filled in by the compiler, for error reports.</param>
    public StragglerReport StragglerReport([CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var values = new double[(2 * Size) + 1];
        for (var rank = 0; rank < Size; rank++)
        {
            var (ticks, times) = Groups.World.Delays?.Of(rank) ?? default;
            (values[rank], values[Size + rank]) = (ticks, times);
        }

        values[2 * Size] = Stopwatch.GetElapsedTime(_started).TotalSeconds / Size;
        Groups.World.AllReduce(values.AsSpan(), ReduceOperation.Sum, file, line);
        return new StragglerReport(
            [.. Enumerable.Range(0, Size).Select(rank => ((long)values[rank], (long)values[Size + rank]))], TimeSpan.FromSeconds(values[2 * Size]));
    }

    /// <summary>Says on the first rank which ranks cost the others much, without asking them: they may have finished.</summary>
    internal void WarnOfStragglers()
    {
        if (!IsFirstRank || Groups.World.Delays is not { } delays)
            return;
        var report = new StragglerReport([.. Enumerable.Range(0, Size).Select(delays.OfAll)], Stopwatch.GetElapsedTime(_started));
        foreach (var straggler in report.Extreme)
            Console.Error.WriteLine(Diagnostics.StragglerReport.Line(straggler));
    }
}
