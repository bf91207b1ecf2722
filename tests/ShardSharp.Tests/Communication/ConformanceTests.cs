using ShardSharp.Testing;

namespace ShardSharp.Tests.Communication;

/// <summary>Every program of <see cref="Conformance"/> on every local backend and on several numbers of ranks.</summary>
public sealed class ConformanceTests
{
    public static MatrixTheoryData<RankBackend, string, int> Cases { get; } =
        new(Enum.GetValues<RankBackend>(), Conformance.Programs.Keys, [1, 2, 3, 4, 7]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Conforms(RankBackend backend, string program, int ranks) =>
        RankHarness.Run(ranks, Conformance.Programs[program], new RankHarnessOptions { Backend = backend });

    public static MatrixTheoryData<RankBackend, string> Delayed { get; } = new(
        Enum.GetValues<RankBackend>(),
        [
            "Overlapping_operations_of_random_sizes", "Reductions_of_tensors_in_shared_memory_have_the_same_bits",
            "Data_in_shared_memory_travels_like_any_other", "Ranks_whose_tensors_lie_elsewhere_get_the_same_results",
        ]);

    [Theory]
    [MemberData(nameof(Delayed))]
    public void Delays_change_nothing(RankBackend backend, string program) =>
        RankHarness.Run(3, Conformance.Programs[program], new RankHarnessOptions { Backend = backend, Delays = new DelayInjection(11) });
}
