using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Communication;
using ShardSharp.Launching;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>call-cost</c>: what a call costs beside its data: whatever a group of one does, which has nothing to exchange, and parts of it.</summary>
internal static class CallCostCommand
{
    private const int Turns = 51;
    private const int CallsPerTurn = 20_000;

    public static Command Create()
    {
        var command = new Command("call-cost", "Times what a call costs beside its data: in a group of one rank, and parts of it alone.");
        command.SetAction(_ =>
        {
            Console.WriteLine(JsonLine.Of(Measure()));
            return ExitCodes.Success;
        });
        return command;
    }

    private static unsafe CallCost Measure()
    {
        TorchLibrary.Load();
        using var tensor = zeros(32, 32);
        using var group = new SoloProcessGroup("world", 0);
        var recording = FlightRecorder.Private().Open("world", [0, 1]);
        var call = new CollectiveCall(
            CollectiveKind.AllReduce, ScalarType.Float32, default, default, ReduceOperation.Sum, -1, new CallSite("Program.cs", 1));
        return new CallCost(
            NanosecondsOf(() => _ = Stopwatch.GetTimestamp()),
            NanosecondsOf(() => _ = TensorShape.Of(tensor)),
            NanosecondsOf(() => TensorLease.Of(CudaDevices.OfThisProcess, tensor, written: true, outlive: false).Dispose()),
            NanosecondsOf(() => recording.End(recording.Begin(call), FlightState.Completed)),
            NanosecondsOf(() => group.AllReduce(tensor)));
    }

    private static double NanosecondsOf(Action action)
    {
        WarmUp.LetCompile([() => Repeat(action)]);
        var turns = new double[Turns];
        for (var turn = 0; turn < Turns; turn++)
        {
            var began = Stopwatch.GetTimestamp();
            Repeat(action);
            turns[turn] = Stopwatch.GetElapsedTime(began).TotalNanoseconds / CallsPerTurn;
        }

        return Math.Round(Median.Of(turns), 1);
    }

    private static void Repeat(Action action)
    {
        for (var i = 0; i < CallsPerTurn; i++)
            action();
    }

    /// <param name="ClockNs">Reading the clock, which recording does twice; nanoseconds, the median over the turns.</param>
    /// <param name="ShapeNs">Reading the shape of a matrix.</param>
    /// <param name="LeaseNs">Reading all that has to be known of a tensor, its shape included.</param>
    /// <param name="RecordNs">Recording one call from start to end.</param>
    /// <param name="CallNs">The whole call.</param>
    private sealed record CallCost(double ClockNs, double ShapeNs, double LeaseNs, double RecordNs, double CallNs);
}
