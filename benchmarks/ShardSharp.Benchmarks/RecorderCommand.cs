using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Communication;
using ShardSharp.Launching;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>recorder</c>: what the flight recorder, which always runs, adds to a call.</summary>
internal static class RecorderCommand
{
    private const int Turns = 51;
    private const int CallsPerTurn = 20_000;

    public static Command Create()
    {
        var command = new Command("recorder", "Times the flight recorder: reading a tensor's shape, and recording one call from start to end.");
        command.SetAction(_ =>
        {
            Console.WriteLine(JsonLine.Of(Measure()));
            return ExitCodes.Success;
        });
        return command;
    }

    private static unsafe RecorderResult Measure()
    {
        using var tensor = zeros(32, 32);
        var recording = FlightRecorder.Private().Open("world", [0, 1]);
        var call = new CollectiveCall(
            CollectiveKind.AllReduce, ScalarType.Float32, default, default, ReduceOperation.Sum, -1, new CallSite("Program.cs", 1));
        return new RecorderResult(
            NanosecondsOf(() => _ = TensorShape.Of([tensor])),
            NanosecondsOf(() => recording.End(recording.Begin(call), FlightState.Completed)));
    }

    private static double NanosecondsOf(Action action)
    {
        var turns = new double[Turns];
        for (var turn = 0; turn < Turns; turn++)
        {
            var began = Stopwatch.GetTimestamp();
            for (var i = 0; i < CallsPerTurn; i++)
                action();
            turns[turn] = Stopwatch.GetElapsedTime(began).TotalNanoseconds / CallsPerTurn;
        }

        return Math.Round(Median.Of(turns), 1);
    }

    /// <param name="ShapeNs">Reading the shape of a matrix, in nanoseconds; the median over the turns.</param>
    /// <param name="CallNs">Recording one call.</param>
    private sealed record RecorderResult(double ShapeNs, double CallNs);
}
