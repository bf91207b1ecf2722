using ShardSharp.Activations;
using ShardSharp.Modules;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>What calls that the program checkpoints itself keep of their linear layers' products, with a model that has the modules and without.</summary>
public sealed class CalledCheckpointTests
{
    private const int Width = 6;
    private const int Rows = 5;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_sequential_keeps_products(bool isOfModel)
    {
        // Two blocks forward, and again without what is kept or not needed: the last product only adds to the residual stream.
        Assert.Equal([5, 5, 5, 5, 5, 0, 5, 0], Multiplied(isOfModel, CheckpointStrategy.Each));
        Assert.Equal([5, 5, 5, 5, 0, 0, 0, 0], Multiplied(isOfModel, CheckpointStrategy.Selective));
        Assert.Equal([5, 5, 5, 5, 5, 0, 0, 0], Multiplied(isOfModel, CheckpointStrategy.Keeping("0._up")));
        Assert.Equal([5, 5, 5, 5, 5, 5, 5, 0], Multiplied(isOfModel, CheckpointStrategy.Contiguous));
        Assert.Equal([5, 5, 5, 5, 5, 0, 5, 0], Multiplied(isOfModel, strategy: null));
    }

    [Fact]
    public void Names_that_fit_no_layer_are_an_error()
    {
        var error = Assert.Throws<ArgumentException>(() => Multiplied(isOfModel: false, CheckpointStrategy.Keeping("up")));
        Assert.Contains("No module is called 'up'", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Compares gradients with those of plain calls.</summary>
    /// <param name="isOfModel">Whether a distributed model has the modules.</param>
    /// <param name="strategy">That of <c>CheckpointSequential</c>; null for <c>Checkpoint</c> of each module.</param>
    /// <returns>Rows that linear layers multiply, in order, in a later step than the first.</returns>
    private static List<long> Multiplied(bool isOfModel, CheckpointStrategy? strategy)
    {
        List<long> rows = [];
        RankHarness.RunSessions(1, session =>
        {
            using var scope = NewDisposeScope();
            using var plain = Blocks();
            using var blocks = Blocks();
            using var model = isOfModel ? session.DistributedModel(() => blocks) : null;
            ModuleHooks[] watches = [];
            for (var step = 0; step < 3; step++)
            {
                rows.Clear();

                // Inside of the hooks that the first call put on the layers.
                if (step == 1)
                    watches = [.. ModuleTree.Walk(blocks).Select(below => below.Module).OfType<Linear>().Select(Watch)];
                Tensor[] inputs = [Randoms.Normal(step, Rows, Width).requires_grad_(), Randoms.Normal(step, Rows, Width).requires_grad_()];
                plain.call(inputs[0]).pow(2).mean().backward();
                var output = strategy is not null
                    ? session.CheckpointSequential(blocks, inputs[1], strategy)
                    : blocks.children().Cast<Block>().Aggregate(inputs[1], (value, block) => session.Checkpoint(block, value));
                output.pow(2).mean().backward();
                Assert.All(
                    plain.parameters().Append(inputs[0]).Zip(blocks.parameters().Append(inputs[1])),
                    pair => Assert.True(pair.First.grad!.eq(pair.Second.grad!).all().item<bool>()));
            }

            foreach (var watch in watches)
                watch.Dispose();
        });
        return rows;

        static Sequential Blocks() => Randoms.Filled(nn.Sequential(new Block(), new Block()));

        ModuleHooks Watch(Linear linear) => new(
            linear,
            given =>
            {
                rows.Add(((Tensor)given[0]!).shape[0]);
                return given;
            },
            static returned => returned);
    }

    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly Linear _up = nn.Linear(Width, 2 * Width), _down = nn.Linear(2 * Width, Width);

        public Block()
            : base(nameof(Block)) => RegisterComponents();

        public override Tensor forward(Tensor input) => input + _down.call(nn.functional.gelu(_up.call(input)));
    }
}
