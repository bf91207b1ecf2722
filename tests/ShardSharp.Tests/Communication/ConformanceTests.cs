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

    [Theory]
    [InlineData(RankBackend.Threads)]
    [InlineData(RankBackend.SharedMemory)]
    public void Delays_change_nothing(RankBackend backend) => RankHarness.Run(
        3, Conformance.Programs["Overlapping_operations_of_random_sizes"], new RankHarnessOptions { Backend = backend, Delays = new DelayInjection(11) });
}
