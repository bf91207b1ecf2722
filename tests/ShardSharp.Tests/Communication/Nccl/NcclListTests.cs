using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>Lists of tensors between GPUs, whose receiver does not know them before.</summary>
public sealed class NcclListTests
{
    private const int Rounds = 5;

    private static readonly CallSite Site = new("the test", 0);

    /// <summary>Both ranks send and receive ahead of each other; tensors of fewer than three elements are the host's.</summary>
    [Fact]
    public void Tensors_of_a_GPU_and_of_the_host_arrive_in_order() => new FakeNcclRun { Ranks = 2, Holds = tensor => tensor.numel() > 2 }.Run(group =>
    {
        var (peer, sends, coming) = (1 - group.Rank, new List<Work>(), new Queue<ReceivedTensors>());
        for (var round = 0; round < Rounds; round++)
        {
            coming.Enqueue(group.ReceiveListAsync(peer, (type, shape) => zeros(shape, type).DetachFromDisposeScope(), Site));
            using var scope = NewDisposeScope();
            sends.Add(group.SendListAsync([.. Lists(group.Rank, round)], peer, Site));
        }

        for (var round = 0; round < Rounds; round++)
        {
            using var scope = NewDisposeScope();
            var expected = Lists(peer, round);
            var arrived = coming.Dequeue().Wait();
            Assert.Equal(expected.Select(tensor => tensor is null), arrived.Select(each => each.Value is null));
            foreach (var (sent, received) in expected.Zip(arrived).Where(pair => pair.First is not null))
            {
                Assert.True(sent!.allclose(received.Value!, 0, 0));
                received.Value!.Dispose();
            }
        }

        sends.ForEach(send => send.Wait());
    });

    [Fact]
    public void Ranks_of_another_backend_refuse_them()
    {
        using var gpu = new FakeGpu();
        Testing.RankHarness.Run(2, group =>
        {
            group.Devices = gpu;
            var failure = Assert.Throws<NotSupportedException>(() => group.SendListAsync([ones(4)], 1 - group.Rank, Site));
            Assert.Contains("backend = nccl", failure.Message, StringComparison.Ordinal);
        });
    }

    private static Tensor?[] Lists(int rank, int round) =>
        [full(5 + round, rank + (10f * round)), null, arange(2, ScalarType.Int64), full([3, 2 + round], rank, ScalarType.BFloat16)];
}
