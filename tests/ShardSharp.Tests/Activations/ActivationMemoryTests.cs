using ShardSharp.Native;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>Checkpointing saves the memory it is for, and leaves none behind. Alone, since it counts what the process allocates.</summary>
[Collection(nameof(WholeProcess))]
public sealed class ActivationMemoryTests
{
    private const int Width = 64;
    private const int Samples = 256;
    private const int Layers = 6;

    [Theory]
    [InlineData("each", 50, 32)]
    [InlineData("selective", 50, 32)]
    [InlineData("group_3", 50, 32)]
    [InlineData("each", 50, Samples, true)]
    [InlineData("selective", 50, Samples, true)]
    public void Holds_the_same_after_many_steps(string strategy, int window, int samples, bool offloads = false)
    {
        List<(long Tensors, long Bytes, long Heap)> held = [];
        Train(
            Configuration(strategy) with { OffloadActivations = offloads },
            steps: 4 * window,
            (step, _) =>
            {
                if (step % window != window - 1)
                    return;
                GC.Collect();
                GC.WaitForPendingFinalizers();
                held.Add((Tensor.TotalCount, TensorAllocator.BytesInUse, OperatingSystem.IsLinux() ? GlibcHeap.Bytes.InUse : 0));
            },
            samples);

        // A tensor left behind by each step would be a window's number of them, and a state of random numbers 250 KB of the heap, which grows now and
        // then for other reasons.
        Assert.All(held, moment => Assert.InRange(moment.Tensors - held[0].Tensors, 1 - window, window - 1));
        Assert.All(held, moment => Assert.Equal(held[0].Bytes, moment.Bytes));
        Assert.InRange(held.Zip(held.Skip(1), (before, after) => after.Heap - before.Heap).Min(), long.MinValue, 1 << 17);
    }

    [Fact]
    public void Of_each_layer_the_input_stays_and_of_one_layer_all()
    {
        // A layer of three linear maps keeps what each is given and three activations, seven tensors wide with what it returns.
        var plain = Activations(new ParallelConfiguration());
        var each = Activations(Configuration("each"));
        const double Wide = Width * Samples * sizeof(float);
        Assert.InRange(each / Wide, Layers, Layers + 14);
        Assert.True(each < 0.5 * plain, $"{each} of {plain}");

        // Of three linear maps the results, which all are needed, and the input.
        Assert.InRange(Activations(Configuration("selective")) / Wide, 4 * Layers, (4 * Layers) + 10);
    }

    private static ParallelConfiguration Configuration(string strategy) => new()
    {
        ActivationCheckpointing = "layers", ActivationCheckpointingStrategy = strategy,
    };

    private static long Activations(ParallelConfiguration configuration)
    {
        long activations = 0;
        Train(configuration, steps: 2, (_, session) => activations = session.MemoryReport().Activations.Measured!.Value);
        return activations;
    }

    private static void Train(ParallelConfiguration configuration, int steps, Action<int, Session> afterStep, int samples = Samples) =>
        RankHarness.RunSessions(
        1,
        session =>
        {
            using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential([.. Enumerable.Range(0, Layers).Select(_ => Layer())])));
            for (var step = 0; step < steps; step++)
            {
                using (var scope = NewDisposeScope())
                {
                    model.ZeroGradients();
                    using var loss = model.Step(Randoms.Normal(step, samples, Width), zeros(1), (output, _) => output.pow(2).mean());
                }

                afterStep(step, session);
            }
        },
        configuration);

    private static nn.Module<Tensor, Tensor> Layer() => nn.Sequential(
        nn.Linear(Width, Width), nn.Tanh(), nn.Linear(Width, Width), nn.Sigmoid(), nn.Linear(Width, Width), nn.GELU());
}
