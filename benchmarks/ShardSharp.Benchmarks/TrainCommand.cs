using System.CommandLine;
using ShardSharp.Launching;
using ShardSharp.Topology;

namespace ShardSharp.Benchmarks;

/// <summary><c>train</c>: the speed and memory of training a GPT.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var mode = new Option<TrainMode>("--mode")
        {
            Description = "plain (TorchSharp alone), single, ddp, sdp, oss, tp or pp.",
            DefaultValueFactory = _ => TrainMode.Single,
        };
        var dtype = new Option<string>("--dtype") { Description = "Number type.", DefaultValueFactory = _ => "float32" };
        dtype.AcceptOnlyFromAmong("float32");
        var ranks = PositiveOption.Create("--ranks", 1, "Number of ranks.");
        var threads = PositiveOption.Create("--threads", 1, "Compute threads of each rank.");
        var vocabulary = PositiveOption.Create("--vocab", 8192, "Tokens in the vocabulary.");
        var sequence = PositiveOption.Create("--seq", 256, "Tokens in a sequence.");
        var hidden = PositiveOption.Create("--hidden", 512, "Width of the model.");
        var heads = PositiveOption.Create("--heads", 8, "Attention heads.");
        var layers = PositiveOption.Create("--layers", 8, "Transformer blocks.");
        var batch = PositiveOption.Create("--batch", 8, "Sequences per step over all ranks.");
        var microbatches = PositiveOption.Create("--microbatches", 4, "Parts in which a rank works off its share of a batch.");
        var steps = PositiveOption.Create("--steps", 10, "Steps to time.");
        var warmup = PositiveOption.Create("--warmup", 3, "Steps before those.", least: 0);
        var seed = PositiveOption.Create("--seed", 1234, "Seed of parameters and tokens.", least: 0);
        var checkpointing = new Option<string?>("--activation-checkpointing")
        {
            Description = "Checkpoint the blocks: each (if no strategy is given), selective, contiguous or group_N.", Arity = ArgumentArity.ZeroOrOne,
        };
        var budget = new Option<double?>("--activation-budget") { Description = "MiB that the blocks' activations may take; decides which are checkpointed." };
        var offloading = new Option<bool>("--offload-activations") { Description = "Keep the inputs of checkpointed blocks on a disk." };

        var sequenceParallel = new Option<bool>("--sequence-parallel") { Description = "Whether tensor-parallel ranks divide activations along the sequence too." };

        var schedule = new Option<string>("--schedule")
        {
            Description = "The order in which a pipeline (pp) computes.",
            DefaultValueFactory = _ => PipelineScheduleName.Of(PipelineScheduleKind.Interleaved),
        };
        schedule.AcceptOnlyFromAmong([.. PipelineScheduleName.All.Select(named => named.Name).Where(name => name != "forward_only")]);

        var bound = new Option<bool>("--bound")
        {
            Description = "After each step of a pipeline the ranks train apart, each with the whole model and its part of the batch: the speed without communication.",
        };

        var command = new Command("train", "Trains a GPT on random tokens and prints speed, memory and losses.")
        {
            mode, ranks, threads, vocabulary, sequence, hidden, heads, layers, batch, microbatches, steps, warmup, seed, dtype,
            sequenceParallel, checkpointing, budget, offloading, schedule, bound,
        };
        command.SetAction(arguments =>
        {
            int Value(Option<int> option) => arguments.GetValue(option);
            var shape = new GptShape(Value(vocabulary), Value(sequence), Value(hidden), Value(heads), Value(layers));
            return Run(new TrainOptions(
                arguments.GetValue(mode), Value(ranks), Value(threads), shape, Value(batch), Value(microbatches), Value(steps), Value(warmup),
                Value(seed), arguments.GetValue(sequenceParallel))
            {
                CheckpointStrategy = arguments.GetResult(checkpointing) is null ? null : arguments.GetValue(checkpointing) ?? "each",
                ActivationBudget = arguments.GetValue(budget),
                OffloadsActivations = arguments.GetValue(offloading),
                Schedule = PipelineScheduleName.All.First(named => named.Name == arguments.GetValue(schedule)).Kind,
                MeasuresBound = arguments.GetValue(bound),
            });
        });
        return command;
    }

    private static int Run(TrainOptions options)
    {
        string[] violations = [.. options.Violations()];
        foreach (var violation in violations)
            Console.Error.WriteLine(violation);
        if (violations.Length > 0)
            return ExitCodes.BadConfiguration;

        if (options.Mode == TrainMode.Plain)
        {
            var plain = new TrainBenchmark(options, rank: 0).Run(() => new PlainTrainer(options));
            Console.WriteLine(JsonLine.Of(Result(options, [plain])));
            return ExitCodes.Success;
        }

        var configuration = new ParallelConfiguration
        {
            Ranks = options.Ranks,
            ThreadsPerRank = options.Threads,
            Microbatches = options.Microbatches,
            Seed = options.Seed,
            ShardedDataParallelDegree = options.Mode == TrainMode.Sdp ? options.Ranks : 1,
            ShardOptimizerState = options.Mode == TrainMode.Oss,
            TensorParallelDegree = options.Mode == TrainMode.Tp ? options.Ranks : 1,
            PrescaledBatch = options.Mode == TrainMode.Tp,
            ActivationCheckpointing = options.CheckpointStrategy is null ? null : "layers",
            ActivationCheckpointingStrategy = options.CheckpointStrategy ?? "each",
            ActivationMemoryBudgetMegabytes = options.ActivationBudget,
            OffloadActivations = options.OffloadsActivations,
            PipelineParallelDegree = options.Mode == TrainMode.Pp ? options.Ranks : 1,
            Pipeline = options.Schedule,
            MemoryWeight = options.Mode == TrainMode.Pp ? 0 : null,
        };
        return RankRun.Launch(configuration, session =>
        {
            ShardedTrainer? trainer = null;
            using var bound = options.MeasuresBound ? new PipelineBound(session, options) : null;
            var mine = new TrainBenchmark(options, session.Rank).Run(() => trainer = new ShardedTrainer(session, options), bound is null ? null : bound.Step);
            var all = session.Groups.World.AllGatherObject(mine);
            var result = Result(options, all);
            if (options.Mode == TrainMode.Pp)
                result = result with { Pipeline = trainer!.PipelineResult(options.Warmup..(options.Warmup + options.Steps)) };
            if (bound is not null)
                result = result with { Bound = bound.Result(all) };
            return [result];
        });
    }

    private static TrainResult Result(TrainOptions options, IReadOnlyList<TrainMeasurement> ranks)
    {
        // The slowest rank says how long a step takes.
        var seconds = ranks.Max(rank => rank.StepSeconds);
        return new TrainResult(
            options.Mode.ToString().ToLowerInvariant(),
            options.Ranks,
            options.Threads,
            options.Microbatches,
            seconds,
            options.Batch * options.Shape.Sequence / seconds,
            [.. ranks.Select(rank => Math.Round(rank.PeakProportionalSet, 1))],
            [.. ranks.Select(rank => Math.Round(rank.PeakResidentSet, 1))],
            ranks[0].Losses,
            [.. ranks.Select(rank => Math.Round(rank.Activations, 1))]);
    }
}
