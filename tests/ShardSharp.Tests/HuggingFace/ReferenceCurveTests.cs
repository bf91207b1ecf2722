using ShardSharp.Testing;
using ShardSharp.Tests.Launching;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Trainings give the losses and gradient norms that transformers and PyTorch gave, in every layout.</summary>
public sealed class ReferenceCurveTests
{
    public static TheoryData<string, int, RankBackend> Layouts { get; } = new MatrixTheoryData<string, int, RankBackend>(
        ReferenceModels.WithCurve.Select(row => row.Data), [1, 2, 4], Enum.GetValues<RankBackend>());

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Data_parallel_ranks_train_as_transformers_does(string model, int ranks, RankBackend backend)
    {
        var curve = new ReferenceCurve(ReferenceModels.PathOf(model));
        RankHarness.RunSessions(ranks, session => curve.Run(session), options: new RankHarnessOptions { Backend = backend });
    }

    [Fact]
    public async Task Processes_train_as_transformers_does()
    {
        var result = await SessionProcess.RunAsync($"curve {ReferenceModels.PathOf("gpt2")} --ranks 2");

        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("1 of 2:", result.Output, StringComparison.Ordinal);
    }
}
