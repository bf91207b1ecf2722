using ShardSharp.Testing;
using ShardSharp.Topology;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Trainings whose layers span ranks give the losses and gradient norms that transformers and PyTorch gave.</summary>
public sealed class TensorParallelCurveTests
{
    public static TheoryData<string, int, bool> Layouts { get; } =
        new MatrixTheoryData<string, int, bool>(["gpt2", "llama"], [2, 4], [false, true]);

    [Theory]
    [MemberData(nameof(Layouts))]
    [InlineData("mixtral", 4, true)]
    public void Layers_that_span_ranks_train_as_transformers_does(string model, int degree, bool sequenceParallel) => Run(
        model, degree, new ParallelConfiguration { TensorParallelDegree = degree, PrescaledBatch = true }, sequenceParallel, dividedLogits: degree == 4);

    public static TheoryData<string, bool> Sharded { get; } = new MatrixTheoryData<string, bool>(["gpt2", "llama"], [false, true]);

    [Theory]
    [MemberData(nameof(Sharded))]
    public void They_do_so_with_sharded_copies(string model, bool sequenceParallel) => Run(
        model,
        4,
        new ParallelConfiguration
        {
            TensorParallelDegree = 2, ShardedDataParallelDegree = 2, PrescaledBatch = true, ShardedPersistenceThreshold = 100,
        },
        sequenceParallel,
        dividedLogits: true);

    [Fact]
    public void They_do_so_where_parameters_are_gathered_by_messages() => Run(
        "llama",
        4,
        new ParallelConfiguration
        {
            TensorParallelDegree = 2, ShardedDataParallelDegree = 2, PrescaledBatch = true, ShardedPersistenceThreshold = 100,
        },
        sequenceParallel: true,
        dividedLogits: false,
        new RankHarnessOptions { SeparateHosts = true });

    private static void Run(
        string model, int ranks, ParallelConfiguration configuration, bool sequenceParallel, bool dividedLogits, RankHarnessOptions? options = null)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model))
        {
            Plan = own => own.TensorParallelPlan.WithSequenceParallelism(sequenceParallel).WithDividedLogits(dividedLogits),
        };
        RankHarness.RunSessions(ranks, session => curve.Run(session), configuration, options);
    }
}
