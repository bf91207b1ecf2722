using ShardSharp.Native;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Native memory goes when it is no longer needed, not when the garbage collector comes by.</summary>
[Collection(nameof(WholeProcess))]
public sealed class MemoryTests
{
    private const int Window = 60;
    private const int Windows = 4;

    [Theory]
    [InlineData(true, 1, 1)]
    [InlineData(false, 1, 1)]
    [InlineData(true, 3, 1)]
    [InlineData(true, 3, 2)]
    [InlineData(true, 3, 2, true)]
    public void Training_holds_the_same_memory_after_many_steps(bool overlap, int microbatches, int shards, bool separateHosts = false)
    {
        // What earlier tests left to the garbage collector must not go while this one counts.
        CollectGarbage();
        var tensors = new long[Windows];
        var bytes = new long[Windows];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var dataset = new NumberedVectors(Windows * Window * 12);
                using var model = session.DistributedModel(
                    () => nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 4)));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters, 0.001));
                var step = 0;
                foreach (var (inputs, labels) in session.Shard(dataset, 12))
                {
                    if (++step % Window == 0)
                        Measure(session, (step / Window) - 1);
                    optimizer.zero_grad();
                    using var loss = model.Step(inputs, labels, (output, target) => nn.functional.mse_loss(output, target));
                    optimizer.step();
                    using var evaluation = model.Forward(inputs, labels, (output, target) => nn.functional.mse_loss(output, target));
                    session.MeanOverDataRanks(loss.ReduceMean() + evaluation.ReduceMean());
                }
            },
            Trial<nn.Module>.SmallBuckets with
            {
                OverlappingAllReduce = overlap,
                Microbatches = microbatches,
                ShardedDataParallelDegree = shards,
                ShardedPersistenceThreshold = 100,
            },
            new RankHarnessOptions { SeparateHosts = separateHosts });

        // One tensor left behind in each step would be a window's number of them; what is under way in the background at the moment is fewer.
        Assert.All(tensors, count => Assert.InRange(count - tensors[0], 1 - Window, Window - 1));

        // A gradient of one layer left behind in each step would be 2 MB in every window. The runtime's own memory grows now and then, such as
        // when it compiles what has become hot.
        Assert.InRange(bytes.Zip(bytes.Skip(1), (before, after) => after - before).Min(), long.MinValue, 1 << 18);

        void Measure(Session session, int moment)
        {
            session.Groups.World.Barrier();
            if (session.IsFirstRank)
            {
                // TorchSharp's optimizers and tensor factories leave small objects to the garbage collector; tensors must not wait for it.
                tensors[moment] = Tensor.TotalCount;
                CollectGarbage();
                bytes[moment] = OperatingSystem.IsLinux() ? GlibcHeap.Bytes.InUse : 0;
            }

            session.Groups.World.Barrier();
        }
    }

    private static void CollectGarbage()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private sealed class NumberedVectors(int count) : utils.data.Dataset<(Tensor Inputs, Tensor Labels)>
    {
        public override long Count => count;

        public override (Tensor Inputs, Tensor Labels) GetTensor(long index) => (full(64, index % 7 * 0.1f), full(4, index % 5 * 0.1f));
    }
}
