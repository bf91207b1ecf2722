using System.CommandLine;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary><c>limited</c>: what <c>limit</c> runs under the limit, a short training with Adam.</summary>
internal static class LimitedRun
{
    public const string Name = "limited";

    // A GPT whose blocks have 12 matrices of hidden by hidden.
    private const int Hidden = 1024;
    private const int Vocabulary = 8192;
    private const int Sequence = 64;
    private const int BlockMegabytes = 12 * Hidden * Hidden * sizeof(float) >> 20;
    private const int EmbeddingMegabytes = 2 * Vocabulary * Hidden * sizeof(float) >> 20;
    private const int Steps = 3;

    public static Command Create()
    {
        var ranks = PositiveOption.Create("--ranks", 4, "Ranks that share the model.");
        var megabytes = PositiveOption.Create("--mib", 1024, $"Least size of the parameters in MiB, in blocks of {BlockMegabytes}.");
        var command = new Command(Name, "What 'limit' runs.") { ranks, megabytes };
        command.Hidden = true;
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration
            {
                Ranks = arguments.GetValue(ranks),
                ShardedDataParallelDegree = arguments.GetValue(ranks),
                DelayedParameterInitialization = true,
                ThreadsPerRank = 1,
            },
            session => [Train(session, arguments.GetValue(megabytes))]));
        return command;
    }

    private static LimitedResult Train(Session session, int megabytes)
    {
        using var memory = new ProcessMemory();
        var layers = (int)Math.Ceiling((megabytes - EmbeddingMegabytes) / (double)BlockMegabytes);
        var shape = new GptShape(Vocabulary, Sequence, Hidden, Heads: 16, Math.Max(1, layers));
        using var model = session.DistributedModel(() => new GptModel(shape));
        using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
        var losses = new List<double>();
        using var tokens = arange(Sequence).reshape(1, Sequence);
        for (var step = 0; step < Steps; step++)
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            var loss = model.Step(tokens, tokens, TrainBenchmark.Loss);
            optimizer.step();
            losses.Add(session.MeanOverDataRanks(loss.ReduceMean()));
        }

        var report = session.MemoryReport();
        return new LimitedResult(
            session.Groups.World.AllGatherObject(Math.Round(memory.PeakProportionalSet, 1)), report.ToLine(), losses);
    }
}

/// <param name="PeakPssMib">For each rank the peak of its proportional set size in MiB.</param>
/// <param name="Memory">The first rank's memory report.</param>
/// <param name="Losses">The loss of each step.</param>
internal sealed record LimitedResult(IReadOnlyList<double> PeakPssMib, string Memory, IReadOnlyList<double> Losses);
