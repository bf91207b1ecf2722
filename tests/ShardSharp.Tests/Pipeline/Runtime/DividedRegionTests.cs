using ShardSharp.Activations;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

/// <summary>The divided backward through checkpointed regions gives the bits of the whole one without, and each region computes again once.</summary>
public sealed class DividedRegionTests
{
    private const int Width = 6;
    private const int Microbatches = 3;

    [Theory]
    [InlineData("_blocks.*", "each", true)]
    [InlineData("_blocks.*", "each", false)]
    [InlineData("_blocks.*", "selective", true)]
    [InlineData("_blocks.*", "group_2", true)]
    [InlineData("_blocks.*", "contiguous", false)]
    [InlineData("_first, _last", "each", true)]
    [InlineData("_first, _last", "each", false)]
    [InlineData("_blocks.*, _blocks.*._inner", "each", true)]
    [InlineData("_blocks.*._inner", "each", false)]
    [InlineData("_blocks.*._inner", "selective", true)]
    public void Gradients_are_those_of_a_whole_backward_without_regions(string names, string strategy, bool needsInput)
    {
        using var outer = NewDisposeScope();
        using var plain = Randoms.Filled(new Stage());
        using var model = Randoms.Filled(new Stage());
        var recomputation = new Recomputation();
        using var checkpointing = new ActivationCheckpointing(model, recomputation, offloading: null);
        checkpointing.Set(names, CheckpointStrategy.Parse(strategy), preservesRandomState: true);
        Parameter[] parameters = [.. model.parameters()], expected = [.. plain.parameters()];
        using var split = new WeightSplit([model], parameters, recomputation: recomputation);
        var counts = new List<int>();
        for (var microbatch = 0; microbatch < Microbatches; microbatch++)
        {
            var input = Randoms.Normal(microbatch, 5, Width);
            var gradient = Randoms.Normal(10 + microbatch, 5, Width);
            Tensor[] inputs = [input.clone().requires_grad_(needsInput), input.clone().requires_grad_(needsInput)];
            plain.call(inputs[0]).backward([gradient]);

            recomputation.ResetMeasurement();
            Tensor output = null!;
            var calls = split.Watch(() => output = model.call(inputs[1]));
            using var saved = new SavedForward(Parcel.Empty, [inputs[1]], [output.DetachFromDisposeScope()], calls);
            var before = parameters.Select(parameter => parameter.grad?.clone()).ToArray();
            var found = split.BackwardOfInputs(saved, new Parcel([(gradient.alias(), false)], null));
            Assert.All(before.Zip(parameters), pair => Equal(pair.First, pair.Second.grad));
            if (needsInput)
                Equal(inputs[0].grad, found[0]);
            var computedBefore = recomputation.Count;
            split.BackwardOfParameters(saved);
            counts.Add(recomputation.Count);

            // Only what lies before the first module with a gradient of its own waits for the second part.
            if (needsInput)
                Assert.Equal(recomputation.Count, computedBefore);
            Assert.All(expected.Zip(parameters), pair => Equal(pair.First.grad, pair.Second.grad));
        }

        Assert.All(plain.buffers().Zip(model.buffers()), pair => Equal(pair.First, pair.Second));
        // At the first microbatch regions also find out whether their last product is needed.
        Assert.True(counts[1] > 0);
        Assert.Single(counts.Skip(1).Distinct());
    }

    private static void Equal(Tensor? expected, Tensor? actual)
    {
        Assert.Equal(expected is null, actual is null);
        Assert.True(expected is null || expected.eq(actual!).all().item<bool>());
    }

    /// <summary>Blocks, two and two of which share a layer, and layers before and after them.</summary>
    private sealed class Stage : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _first = nn.Linear(Width, Width), _last = nn.Linear(Width, Width);
        private readonly ModuleList<Block> _blocks = [];

        public Stage()
            : base(nameof(Stage))
        {
            foreach (var tied in new[] { nn.Linear(Width, Width), nn.Linear(Width, Width) })
            {
                _blocks.Add(new Block(tied));
                _blocks.Add(new Block(tied));
            }

            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _last.call(_blocks.Aggregate(_first.call(input), (value, block) => block.call(value)).tanh());
    }

    /// <summary>A module called twice, one that two blocks share, a parameter of its own, and running means.</summary>
    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly Parameter _scale = new(ones(Width));
        private readonly Inner _inner = new();
        private readonly Linear _twice = nn.Linear(Width, Width), _tied;
        private readonly BatchNorm1d _norm = nn.BatchNorm1d(Width);

        public Block(Linear tied)
            : base(nameof(Block))
        {
            _tied = tied;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var x = _inner.call(_norm.call(input)) * _scale;
            return input + _tied.call(_twice.call(_twice.call(x).tanh()));
        }
    }

    private sealed class Inner : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _up = nn.Linear(Width, 2 * Width), _down = nn.Linear(2 * Width, Width);

        public Inner()
            : base(nameof(Inner)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _down.call(nn.functional.gelu(_up.call(input)));
    }
}
