using ShardSharp.Communication;
using ShardSharp.Testing;
using ShardSharp.Tests.Communication.Nccl;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Devices;

/// <summary>Tensors on a GPU, on the backends that communicate memory of the host; the GPU is a fake.</summary>
public sealed class PinnedStagingTests
{
    public static MatrixTheoryData<RankBackend, string, int> Cases { get; } =
        new(Enum.GetValues<RankBackend>(), Conformance.Programs.Keys, [1, 3]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Conforms(RankBackend backend, string program, int ranks) => RankHarness.Run(
        ranks, group => OnGpu(group, Conformance.Programs[program]), new RankHarnessOptions { Backend = backend });

    [Fact]
    public void Long_calls_take_turns_with_the_halves_of_the_memory() => RankHarness.Run(2, group => OnGpu(group, gpu =>
    {
        const int Length = (5 * PinnedStaging.PartBytes / sizeof(float)) + 7;
        using var scope = NewDisposeScope();
        var (tensor, mine) = (arange(Length, ScalarType.Float32), arange(Length, ScalarType.Float32));
        gpu.AllReduce(tensor);
        Assert.True(tensor.eq(mine.add(mine)).all().item<bool>());

        var all = zeros(2L * Length);
        gpu.AllGather(all, mine);
        Assert.True(all.eq(cat([mine, mine])).all().item<bool>());

        var share = zeros(Length);
        gpu.ReduceScatter(share, all);
        Assert.True(share.eq(mine.add(mine)).all().item<bool>());
    }));

    [Fact]
    public void Copies_of_one_step_run_while_the_ranks_exchange_another()
    {
        using var gpu = new FakeGpu();
        RankHarness.Run(2, group =>
        {
            using var tensor = zeros(2 * PinnedStaging.PartBytes / sizeof(float));
            using var other = new FakeGpu();
            group.Devices = group.Rank == 0 ? gpu : other;
            group.AllReduce(tensor);
            group.Dispose();
        });

        // Events: 2 is where the caller stood; of the staging memory 4 and 5 tell that input is in, 6 and 7 that output is out.
        Assert.Equal(
            [
                "record 2 on current", "stream 3 waits for 2",
                "copy 4194304 on stream 3", "record 4 on stream 3", "copy 4194304 on stream 3", "record 5 on stream 3",
                "host waits for 4", "copy 4194304 on stream 3", "record 6 on stream 3",
                "host waits for 5", "copy 4194304 on stream 3", "record 7 on stream 3",
                "record 6 on stream 3", "host waits for 6",
            ],
            gpu.Calls);
        Assert.Equal(0, gpu.Unreleased);
    }

    [Fact]
    public void Ranks_that_disagree_on_a_long_call_hear_of_its_whole_length_at_once()
    {
        var failures = RankHarness.Capture(2, group => OnGpu(group, gpu => gpu.AllReduce(zeros(3_000_000 + gpu.Rank))));

        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains(
            "all_reduce (sum) of 3000001 Float32 in steps of 1048576 at PinnedStagingTests.cs:",
            Assert.IsType<CollectiveMismatchException>(failure.Failure).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_rank_whose_tensor_is_on_the_CPU_is_a_match_for_one_step_and_an_error_for_many()
    {
        RankHarness.Run(2, group => OnGpu(group, Add, onGpu: group.Rank == 0));
        var failures = RankHarness.Capture(2, group => OnGpu(group, _ => group.AllReduce(zeros(3_000_000)), onGpu: group.Rank == 0));
        Assert.All(failures, failure => Assert.IsType<CollectiveMismatchException>(failure.Failure));
        Assert.Equal(2, failures.Count);

        static void Add(ProcessGroup group)
        {
            using var tensor = ones(10);
            group.AllReduce(tensor);
            Assert.Equal(20, tensor.sum().item<float>());
        }
    }

    [Fact]
    public void Tensors_of_one_call_must_be_on_one_device() => RankHarness.Run(1, group =>
    {
        using var gpu = new FakeGpu { Holds = tensor => tensor.numel() == 4 };
        group.Devices = gpu;
        using var scope = NewDisposeScope();
        var (there, here, large) = (zeros(4), zeros(1), zeros(2));
        Assert.Contains("found cuda:0 and the CPU", Assert.Throws<ArgumentException>(() => group.AllReduce([there, here])).Message,
            StringComparison.Ordinal);
        Assert.Contains("input is on cuda:0, output on the CPU", Assert.Throws<ArgumentException>(() => group.AllGather(large, there)).Message,
            StringComparison.Ordinal);
    });

    [Fact]
    public void A_group_of_one_copies_within_the_GPU()
    {
        using var gpu = new FakeGpu();
        using var group = new SoloProcessGroup("alone", 0) { Devices = gpu };
        using var scope = NewDisposeScope();
        var (input, output) = (ones(8), zeros(8));
        group.AllReduce(input);
        group.AllGather(output, input);
        Assert.Equal(8, output.sum().item<float>());
        Assert.Equal(
            ["record 2 on current", "record 3 on current", "current waits for 3", "copy 32 on current", "record 3 on current", "host waits for 3"],
            gpu.Calls);
        Assert.Equal(0, gpu.Unreleased);
    }

    /// <summary>Runs a program as if all tensors were on a GPU; what the group holds of it is given up with the group.</summary>
    private static void OnGpu(ProcessGroup group, Action<ProcessGroup> program, bool onGpu = true)
    {
        using var gpu = new FakeGpu { Holds = _ => onGpu };
        group.Devices = gpu;
        try
        {
            program(group);
        }
        finally
        {
            group.Dispose();
        }

        Assert.Equal(0, gpu.Unreleased);
    }
}
