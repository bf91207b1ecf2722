using System.CommandLine;
using System.Diagnostics;
using ShardSharp.Activations;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>
/// <c>activations</c>: a GPT with each strategy of activation checkpointing and within budgets, turn by turn in one process, so that all see the same
/// machine.
/// </summary>
internal static class ActivationsCommand
{
    private const string Plain = "plain";

    public static Command Create()
    {
        var layers = PositiveOption.Create("--layers", 16, "Transformer blocks.");
        var hidden = PositiveOption.Create("--hidden", 384, "Width of the model.");
        var batch = PositiveOption.Create("--batch", 8, "Sequences of 256 tokens per step, in one microbatch.");
        var threads = PositiveOption.Create("--threads", 2, "Compute threads.");
        var turns = PositiveOption.Create("--turns", 5, "Steps to time of each.");
        var strategies = new Option<string[]>("--strategies")
        {
            Description = "Which ones beside plain.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => ["selective", "each", "group_4"],
        };
        var budgets = new Option<double[]>("--budgets")
        {
            Description = "MiB that the blocks' activations may take.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [],
        };
        var command = new Command("activations", "Compares strategies of activation checkpointing with each other.")
        {
            layers, hidden, batch, threads, turns, strategies, budgets,
        };
        command.SetAction(arguments => RankRun.Launch(
            new ParallelConfiguration { ThreadsPerRank = arguments.GetValue(threads) },
            session => Compare(
                session, new GptShape(8192, 256, arguments.GetValue(hidden), 8, arguments.GetValue(layers)), arguments.GetValue(batch),
                arguments.GetValue(turns), arguments.GetValue(strategies)!, arguments.GetValue(budgets)!)));
        return command;
    }

    private static List<ActivationsResult> Compare(
        Session session, GptShape shape, int batch, int turns, IEnumerable<string> strategies, IEnumerable<double> budgets)
    {
        Contender[] all =
        [
            new(session, shape, Plain, budget: null),
            .. strategies.Select(strategy => new Contender(session, shape, strategy, budget: null)),
            .. budgets.Select(budget => new Contender(session, shape, "budget", budget)),
        ];
        using var tokens = randint(shape.Vocabulary, [batch, shape.Sequence], ScalarType.Int64);

        // Budgets take two steps to measure and one to be compared with what was expected.
        var warmup = all.Any(contender => contender.Budget is not null) ? 3 : 1;
        for (var turn = -warmup; turn < turns; turn++)
        {
            // Each is the first as often as any other.
            foreach (var i in Enumerable.Range(0, all.Length))
                all[(i + turn + warmup) % all.Length].Step(tokens, isTimed: turn >= 0);
        }

        List<ActivationsResult> results = [.. all.Select(contender => contender.Result(all[0]))];
        foreach (var contender in all)
            contender.Dispose();
        return results;
    }

    private sealed class Contender : IDisposable
    {
        private readonly string _strategy;
        private readonly DistributedModel<GptModel> _model;
        private readonly DistributedOptimizer _optimizer;
        private readonly List<double> _seconds = [];

        public Contender(Session session, GptShape shape, string strategy, double? budget)
        {
            (_strategy, Budget) = (strategy, budget);
            _model = session.DistributedModel(() => new GptModel(shape));
            _optimizer = session.DistributedOptimizer(_model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
            if (budget is { } megabytes)
                _model.SetActivationBudget("layers", megabytes);
            else if (strategy != Plain)
                _model.SetActivationCheckpointing("layers", CheckpointStrategy.Parse(strategy));
        }

        public double? Budget { get; }

        public void Step(Tensor tokens, bool isTimed)
        {
            using var scope = NewDisposeScope();
            var watch = Stopwatch.StartNew();
            _optimizer.zero_grad();
            using var loss = _model.Step(tokens, tokens, TrainBenchmark.Loss);
            _optimizer.step();
            if (isTimed)
                _seconds.Add(watch.Elapsed.TotalSeconds);

            // The gradients of one would be in the way of the others.
            _optimizer.zero_grad();
        }

        public ActivationsResult Result(Contender plain) => new(
            _strategy, Median.Of([.. _seconds]), Median.Of([.. _seconds.Zip(plain._seconds, (mine, its) => mine / its)]), _seconds.Min() / plain._seconds.Min(),
            _model.StepMemory.Activations!.Value / 1048576.0)
        {
            BudgetMib = Budget, Plan = _model.ActivationPlan?.ToString(),
        };

        public void Dispose()
        {
            _optimizer.Dispose();
            _model.Dispose();
        }
    }
}

/// <summary>What <c>activations</c> prints of each strategy.</summary>
/// <param name="Strategy">plain, a strategy, or budget.</param>
/// <param name="StepS">Median time of a step in seconds.</param>
/// <param name="OfPlain">Median of what that is of the time of plain in the same turn.</param>
/// <param name="LeastOfPlain">The shortest step, of the shortest of plain.</param>
/// <param name="ActivationMib">What a step takes beside what stays, at the peak in MiB.</param>
internal sealed record ActivationsResult(string Strategy, double StepS, double OfPlain, double LeastOfPlain, double ActivationMib)
{
    /// <summary>What the blocks might take, in MiB; null without a budget.</summary>
    public double? BudgetMib { get; init; }

    /// <summary>Which blocks compute again, what that was expected to take, and what it took.</summary>
    public string? Plan { get; init; }
}
