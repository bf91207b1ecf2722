using System.CommandLine;
using ShardSharp.Launching;

namespace ShardSharp.Benchmarks;

/// <summary>
/// <c>figures</c>: the project's figures of merit for data parallelism, replicated and sharded, and for one rank. What is compared runs in turns, so that a
/// machine that others use too slows both; each ratio is the median over the turns.
/// </summary>
internal static class FiguresCommand
{
    public static Command Create()
    {
        var repetitions = PositiveOption.Create("--repetitions", 3, "Turns.");
        var batch = PositiveOption.Create("--batch", 8, "Sequences per step over all ranks; even.");
        var figures = new Option<string[]>("--of")
        {
            Description = "Which: ddp and sdp against two independent runs of half the batch, single against TorchSharp alone.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => ["ddp", "sdp", "single"],
        };
        figures.AcceptOnlyFromAmong("ddp", "sdp", "single");
        var command = new Command("figures", "Compares ddp and sdp with independent runs, and single with TorchSharp alone. "
            + "Further options are those of train, for all runs alike.")
        {
            repetitions, batch, figures,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(async (arguments, cancellation) =>
        {
            int turns = arguments.GetValue(repetitions), sequences = arguments.GetValue(batch);
            var rest = arguments.UnmatchedTokens;
            foreach (var figure in arguments.GetRequiredValue(figures))
            {
                Console.WriteLine(figure == "single"
                    ? JsonLine.Of(await SingleRankOverhead(turns, sequences, rest, cancellation))
                    : JsonLine.Of(await DataParallelEfficiency(figure, turns, sequences, rest, cancellation)));
            }

            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Two ranks that train as one, against two runs at the same time that do not know of each other, half the batch each.</summary>
    private static async Task<EfficiencyResult> DataParallelEfficiency(
        string mode, int turns, int batch, IReadOnlyList<string> rest, CancellationToken cancellation)
    {
        List<double> together = [], apart = [];
        for (var i = 0; i < turns; i++)
        {
            var run = await ChildRun.Train(["--mode", mode, "--ranks", "2", "--batch", $"{batch}", .. rest], cancellation);
            var independent = await Task.WhenAll(Enumerable.Range(0, 2).Select(
                _ => ChildRun.Train(["--mode", "single", "--batch", $"{batch / 2}", .. rest], cancellation)));
            together.Add(run.TokensPerS);
            apart.Add(independent.Sum(half => half.TokensPerS));
        }

        return new EfficiencyResult($"{mode}_over_independent", Ratio(together, apart), together, apart);
    }

    private static async Task<OverheadResult> SingleRankOverhead(
        int turns, int batch, IReadOnlyList<string> rest, CancellationToken cancellation)
    {
        List<TrainResult> sharded = [], plain = [];
        for (var i = 0; i < turns; i++)
        {
            sharded.Add(await ChildRun.Train(["--mode", "single", "--batch", $"{batch}", .. rest], cancellation));
            plain.Add(await ChildRun.Train(["--mode", "plain", "--batch", $"{batch}", .. rest], cancellation));
        }

        double[] speed = Speeds(sharded), plainSpeed = Speeds(plain), memory = Peaks(sharded), plainMemory = Peaks(plain);
        return new OverheadResult(
            "single_over_plain", Ratio(speed, plainSpeed), Ratio(memory, plainMemory), speed, plainSpeed, memory, plainMemory);
    }

    private static double[] Speeds(IEnumerable<TrainResult> runs) => [.. runs.Select(run => run.TokensPerS)];

    private static double[] Peaks(IEnumerable<TrainResult> runs) => [.. runs.Select(run => run.PeakPssMib[0])];

    private static double Ratio(IEnumerable<double> values, IEnumerable<double> others) =>
        Median.Of(values.Zip(others, (value, other) => value / other));

    private sealed record EfficiencyResult(
        string Figure, double Ratio, IReadOnlyList<double> TokensPerS, IReadOnlyList<double> IndependentTokensPerS);

    private sealed record OverheadResult(
        string Figure,
        double SpeedRatio,
        double MemoryRatio,
        IReadOnlyList<double> SingleTokensPerS,
        IReadOnlyList<double> PlainTokensPerS,
        IReadOnlyList<double> SinglePeakPssMib,
        IReadOnlyList<double> PlainPeakPssMib);
}
