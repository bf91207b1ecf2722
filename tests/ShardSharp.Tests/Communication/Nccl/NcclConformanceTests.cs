namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>Every program of <see cref="Conformance"/> on the NCCL backend, over fakes of NCCL and the GPUs.</summary>
public sealed class NcclConformanceTests
{
    public static MatrixTheoryData<string, int> Cases { get; } = new(Conformance.Programs.Keys, [1, 2, 3, 4]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Conforms(string program, int ranks) => new FakeNcclRun { Ranks = ranks }.Run(Conformance.Programs[program]);
}
