using ShardSharp.Activations;
using ShardSharp.Testing;
using ShardSharp.Tests.Communication.Nccl;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Activations;

/// <summary>Activations of a GPU that wait in pinned memory; the GPU is a fake, whose copies run when its streams come to them.</summary>
public sealed class PinnedActivationsTests
{
    /// <summary>Tensors of a batch of this are large enough to be offloaded.</summary>
    private const int Samples = 256;
    private const int Width = 64;
    private const long Bytes = (long)Samples * Width * sizeof(float);

    [Fact]
    public void Events_order_copies_and_nobody_waits_on_the_host()
    {
        using var outer = NewDisposeScope();
        using var gpu = new FakeGpu();
        var values = Enumerable.Range(0, 4).Select(i => Randoms.Normal(i, Samples, Width)).ToArray();
        using (var pinned = new PinnedActivations(gpu))
        {
            var stored = values.Select(value =>
            {
                var one = pinned.Store(value);
                pinned.EndForward([one]);
                return one;
            }).ToArray();
            pinned.BeginLoad(stored[0]);

            // The last two are on the GPU still; the others come back.
            Assert.All(stored.Index().Reverse(), next => Assert.True(values[next.Index].eq(pinned.Take(next.Item)).all().item<bool>()));
            Assert.Equal(4 * Bytes, pinned.Bytes);

            // A block that has been given back is used again.
            pinned.Forget(pinned.Store(values[0]));
            Assert.Equal(4 * Bytes, pinned.Bytes);
        }

        // Stream 2 copies, event 3 tells where libtorch's stream stands, 4 to 6 when copies are done.
        static string[] Copied(int mark) => ["record 3 on current", "stream 2 waits for 3", $"copy {Bytes} on stream 2", $"record {mark} on stream 2"];
        Assert.Equal(
            [
                .. Copied(4), .. Copied(5), .. Copied(6), "current waits for 4", .. Copied(4), "current waits for 5",
                .. Copied(5), .. Copied(6), "current waits for 6", "current waits for 5",
                .. Copied(5), "current waits for 5",
                "record 3 on stream 2", "host waits for 3",
            ],
            gpu.Calls);
        Assert.Equal(0, gpu.Unreleased);
    }

    [Theory]
    [InlineData("each", 1)]
    [InlineData("each", 2)]
    [InlineData("selective", 1)]
    [InlineData("group_2", 9)]
    public void Gradients_are_the_same(string strategy, int horizon)
    {
        using var gpu = new FakeGpu { Holds = IsActivation };
        var plain = Train(new ParallelConfiguration(), gpu);
        Assert.Empty(gpu.Calls);
        Assert.Equal(plain, Train(Offloaded(strategy) with { ActivationLoadingHorizon = horizon }, gpu));
        Assert.Contains(gpu.Calls, call => call.StartsWith("copy", StringComparison.Ordinal));
        Assert.Single(gpu.Calls, call => call.StartsWith("host", StringComparison.Ordinal));
        Assert.Equal(0, gpu.Unreleased);
    }

    [Fact]
    public void Pinned_memory_that_runs_out_is_an_error_before_anything_is_lost()
    {
        using var gpu = new FakeGpu { Holds = IsActivation, PinnedLimit = 3 * Bytes };
        var plain = Train(new ParallelConfiguration(), gpu);
        var failures = new List<string>();
        Assert.Equal(plain, Train(Offloaded("each"), gpu, failure =>
        {
            failures.Add(failure.Message);
            gpu.PinnedLimit = long.MaxValue;
        }));
        Assert.Contains("64 KiB found no pinned memory", Assert.Single(failures), StringComparison.Ordinal);
        Assert.Equal(0, gpu.Unreleased);
    }

    private static bool IsActivation(Tensor tensor) => tensor.dim() == 2 && tensor.shape[0] == Samples;

    private static ParallelConfiguration Offloaded(string strategy) => new()
    {
        ActivationCheckpointing = "layers", ActivationCheckpointingStrategy = strategy, OffloadActivations = true,
    };

    /// <summary>The gradients of some steps; those that fail are repeated.</summary>
    private static List<float[]> Train(ParallelConfiguration configuration, FakeGpu gpu, Action<Exception>? failed = null)
    {
        var gradients = new List<float[]>();
        RankHarness.RunSessions(
            1,
            session =>
            {
                session.Groups.ReducedData.Devices = gpu;
                using var model = session.DistributedModel(() => Randoms.Filled(nn.Sequential(
                    [.. Enumerable.Range(0, 6).Select(_ => nn.Sequential(nn.Linear(Width, Width), nn.GELU(), nn.Linear(Width, Width)))])));
                for (var step = 0; step < 3;)
                {
                    using var scope = NewDisposeScope();
                    model.ZeroGradients();
                    try
                    {
                        using var loss = model.Step(Randoms.Normal(step, Samples, Width), zeros(1), (output, _) => output.pow(2).mean());
                    }
                    catch (InsufficientMemoryException failure) when (failed is not null)
                    {
                        failed(failure);
                        continue;
                    }

                    gradients.AddRange(model.Parameters.Select(parameter => parameter.grad!.data<float>().ToArray()));
                    step++;
                }
            },
            configuration);
        return gradients;
    }
}
