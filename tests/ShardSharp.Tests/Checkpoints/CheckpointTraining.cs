using ShardSharp.Checkpoints;
using ShardSharp.DataParallel;
using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.optim.lr_scheduler;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>A small training with everything that a checkpoint keeps, on the ranks of a session.</summary>
internal sealed class CheckpointTraining : IDisposable
{
    private readonly Session _session;
    private readonly ShardedData<(Tensor Inputs, Tensor Labels), (Tensor Inputs, Tensor Labels)> _batches;
    private IEnumerator<(Tensor Inputs, Tensor Labels)>? _epoch;

    public CheckpointTraining(
        Session session, Func<IEnumerable<Parameter>, optim.Optimizer>? optimizer = null, double dropout = 0, Func<Net>? create = null)
    {
        _session = session;
        _batches = session.Shard(new Samples(), globalBatchSize: 12);
        Model = session.DistributedModel(() => Randoms.Filled(create?.Invoke() ?? new Net(dropout)));
        Optimizer = session.DistributedOptimizer(Model, optimizer ?? (parameters => optim.AdamW(parameters, 0.01)),
            lossScaling: session.Configuration.Float16 ? LossScaling.Dynamic with { InitialScale = 256, ScaleWindow = 3 } : null);
        Scheduler = StepLR(Optimizer, step_size: 2, gamma: 0.5);
    }

    public DistributedModel<Net> Model { get; }

    public DistributedOptimizer Optimizer { get; }

    public LRScheduler Scheduler { get; }

    /// <summary>The layouts that checkpoints go between: a name, ranks, whether they act as on several hosts, and the configuration.</summary>
    public static (string Name, int Ranks, bool Hosts, ParallelConfiguration Configuration)[] Layouts { get; } =
    [
        ("one rank", 1, false, new()),
        ("2 copies", 2, false, new()),
        ("4 copies", 4, false, new()),
        ("optimizer state on 2", 2, false, new() { ShardOptimizerState = true }),
        ("optimizer state on 4", 4, false, new() { ShardOptimizerState = true }),
        ("gradients on 2", 2, false, new() { ShardedDataParallelDegree = 2, ShardingLevel = ShardingLevel.Gradients }),
        ("parameters on 2", 2, false, new() { ShardedDataParallelDegree = 2 }),
        ("parameters on 3", 3, false, new() { ShardedDataParallelDegree = 3 }),
        ("parameters on 4", 4, false, new() { ShardedDataParallelDegree = 4 }),
        ("pairs of 4", 4, false, new() { ShardedDataParallelDegree = 2 }),
        ("parameters on 2 hosts", 2, true, new() { ShardedDataParallelDegree = 2, ShardedPersistenceThreshold = 20 }),
        ("pairs of 4 hosts", 4, true, new() { ShardedDataParallelDegree = 2, ShardedPersistenceThreshold = 20 }),
        ("bfloat16 on one", 1, false, new() { BFloat16 = true }),
        ("bfloat16 on 2", 2, false, new() { BFloat16 = true, ShardedDataParallelDegree = 2 }),
        ("float16 on 2", 2, false, new() { Float16 = true, ShardOptimizerState = true }),
    ];

    /// <summary>Runs a program on the ranks of a layout.</summary>
    public static void Run(string layout, Action<Session> program)
    {
        var (_, ranks, hosts, configuration) = Layouts.First(known => known.Name == layout);
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                program(session);
            },
            configuration, new RankHarnessOptions { SeparateHosts = hosts });
    }

    /// <summary>Trains.</summary>
    /// <returns>The loss of each step.</returns>
    public List<double> Train(int steps)
    {
        var losses = new List<double>();
        while (losses.Count < steps)
        {
            using var scope = NewDisposeScope();
            _epoch ??= _batches.GetEnumerator();
            if (!_epoch.MoveNext())
            {
                _epoch = null;
                continue;
            }

            var (inputs, labels) = _epoch.Current;
            losses.Add(_session.MeanOverDataRanks(Model.Step(inputs, labels, (output, expected) => nn.functional.mse_loss(output, expected)).ReduceMean()));
            Optimizer.step();
            Scheduler.step();
            Optimizer.zero_grad();
        }

        return losses;
    }

    /// <summary>Everything that a checkpoint has of tensors, whole; on the first rank alone.</summary>
    public Dictionary<string, byte[]> State()
    {
        var state = new TrainingState([(0, Model)], [(0, Optimizer)], [], []);
        var held = state.Collect(_session.Rank, null).Held.Where(tensor => !tensor.Name.StartsWith("random/", StringComparison.Ordinal));
        return TensorGathering.Gather(_session.Groups.World, [.. held], firstOnly: true)
            .ToDictionary(tensor => tensor.Key, tensor => tensor.Value.bytes.ToArray());
    }

    public void Dispose()
    {
        _epoch?.Dispose();
        Optimizer.Dispose();
        Model.Dispose();
    }

    /// <summary>Two blocks, parameters of several shapes, and a buffer.</summary>
    internal sealed class Net : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(6, 13);
        private readonly ModuleList<nn.Module<Tensor, Tensor>> _blocks;
        private readonly Linear _last = nn.Linear(13, 3, hasBias: false);

        public Net(double dropout)
            : base(nameof(Net))
        {
            _blocks = new(
                nn.Sequential(nn.Linear(13, 13), nn.LayerNorm(13), nn.GELU(), nn.Dropout(dropout)), nn.Sequential(nn.Linear(13, 13), nn.GELU()));
            RegisterComponents();
            register_buffer("calls", zeros(2, ScalarType.Int64));
        }

        public override Tensor forward(Tensor input)
        {
            using (no_grad())
                get_buffer("calls")!.add_(1);
            var value = _first.call(input);
            foreach (var block in _blocks)
                value = value + block.call(value);
            return _last.call(value);
        }
    }

    private sealed class Samples : utils.data.Dataset<(Tensor Inputs, Tensor Labels)>
    {
        public override long Count => 60;

        public override (Tensor Inputs, Tensor Labels) GetTensor(long index) => (Randoms.Normal((int)index, 6), Randoms.Normal(1000 + (int)index, 3));
    }
}
