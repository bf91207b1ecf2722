using System.Globalization;
using ShardSharp;
using ShardSharp.Activations;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

/// <summary>
/// Every schedule on two stages or four, and checkpoints in divided backwards: what activations took at the peak, and what the schedule predicts from a step of one microbatch. Ranks
/// are processes, so that the allocator counts the tensors of one rank.
/// </summary>
internal static class PipelineMemoryScenario
{
    private const int Microbatches = 8;

    public static void Play(Session session)
    {
        foreach (var (name, kind) in PipelineScheduleName.All.Where(named => named.Kind != PipelineScheduleKind.ForwardOnly))
            Play(session, name, kind, strategy: null);
        Play(session, "each", PipelineScheduleKind.ZeroBubbleV, CheckpointStrategy.Each);
        Play(session, "selective", PipelineScheduleKind.ZeroBubbleV, CheckpointStrategy.Selective);
    }

    private static void Play(Session session, string name, PipelineScheduleKind kind, CheckpointStrategy? strategy)
    {
        using var scope = NewDisposeScope();
        var (single, schedule) = (PipelineSchedules.Create(kind, session.Size, 1), PipelineSchedules.Create(kind, session.Size, Microbatches));
        using var root = nn.Sequential([.. Enumerable.Range(0, 8).Select(_ => new Block())]);
        var cut = session.CutModel(root, [zeros(Block.Rows, Block.Narrow)], stages: schedule.Placement.Stages);
        using var executor = new PipelineExecutor(new CutModel(root, cut, schedule.Placement, session.Rank), session.Groups.World, CPU);
        using var checkpointing = new ActivationCheckpointing(root, executor.Recomputation, offloading: null);
        if (strategy is not null)
            checkpointing.Set("layers", strategy, preservesRandomState: true);
        var step = new Step();

        // The buffers of the boundaries, and how backwards are divided, stay from here on.
        executor.Run(schedule, step);
        executor.MeasuresActivations = true;
        executor.Run(single, step);
        var costs = CostsOf(single, executor, session.Rank);
        executor.Run(schedule, step);

        var predicted = ScheduleSimulation.Run(schedule, costs).PeakActivations[session.Rank];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"peak {name} {session.Rank} {executor.Activations.Max()} {predicted}"));
    }

    private static StageCost[] CostsOf(PipelineSchedule schedule, PipelineExecutor executor, int rank)
    {
        StageCost[] costs = [.. Enumerable.Repeat(new StageCost(), schedule.Placement.Stages)];
        var before = 0L;
        foreach (var (action, after) in schedule.Actions[rank].Zip(executor.Activations))
        {
            if (action.Kind == PipelineActionKind.Forward)
                costs[action.Stage] = costs[action.Stage] with { Activations = after - before };
            if (action.Kind == PipelineActionKind.InputBackward)
                costs[action.Stage] = costs[action.Stage] with { Deferred = after - before };
            before = after;
        }

        return costs;
    }

    /// <summary>What it takes and returns is too small for the allocator to count, so that messages on their way change nothing.</summary>
    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        public const int Rows = 64;
        public const int Narrow = 128;

        private readonly Linear _up = nn.Linear(Narrow, 4 * Narrow);
        private readonly Linear _down = nn.Linear(4 * Narrow, Narrow);

        public Block()
            : base(nameof(Block)) => RegisterComponents();

        public override Tensor forward(Tensor input) => input + _down.call(nn.functional.gelu(_up.call(input)));
    }

    private sealed class Step : IPipelineStep
    {
        private readonly Tensor _samples = rand(Block.Rows, Block.Narrow);

        public IReadOnlyList<Tensor> Inputs(int microbatch) => [_samples];

        public Tensor? End(int microbatch, IReadOnlyList<Tensor> outputs) => outputs[0].pow(2).mean();

        public void BeforeGradients(bool isLast)
        {
        }

        public void AfterGradients(bool isLast)
        {
        }
    }
}
