using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace;
using ShardSharp.Modules;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.Checkpoints;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Models whose layers span ranks compute what transformers computes, with the plans that they bring.</summary>
public sealed class TensorParallelModelTests
{
    /// <summary>As in <see cref="HuggingFaceModelTests"/>, relative to the norm of the whole tensor of which a rank has its part.</summary>
    private const double Tolerance = 1e-5;

    private const double Rounding = 1e-7;

    public static TheoryData<string, int, bool> Layouts { get; } =
    [
        .. ReferenceModels.All.Select(row => row.Data).SelectMany(
            name => new[] { (2, false), (4, true) }.Select(layout => new TheoryDataRow<string, int, bool>(name, layout.Item1, layout.Item2))),
        ("gpt2-options", 2, true), ("llama-tied", 4, false), ("qwen3", 4, false), ("bert", 2, true), ("roberta", 4, false),
    ];

    public static TheoryData<string, int, bool> Automatic { get; } =
    [
        .. ReferenceModels.All.Select(row => row.Data).SelectMany(
            name => new[] { (2, true), (4, false), (4, true) }.Select(layout => new TheoryDataRow<string, int, bool>(name, layout.Item1, layout.Item2))),
    ];

    /// <summary>Also with key and value heads that several ranks hold, and vocabularies and widths that ranks do not divide.</summary>
    [Theory]
    [MemberData(nameof(Layouts))]
    public void Logits_losses_and_gradients_are_those_of_transformers(string name, int ranks, bool sequenceParallel) =>
        Compare(name, ranks, model => model.TensorParallelPlan.WithSequenceParallelism(sequenceParallel));

    /// <summary>The same with plans that nobody wrote.</summary>
    [Theory]
    [MemberData(nameof(Automatic))]
    public void So_are_they_with_automatic_plans(string name, int ranks, bool sequenceParallel) =>
        Compare(name, ranks, model => TensorParallelPlan.Automatic(model, ranks).WithSequenceParallelism(sequenceParallel));

    private static void Compare(string name, int ranks, Func<LanguageModel, TensorParallelPlan> plan) => RankHarness.Run(ranks, group =>
    {
        using var scope = NewDisposeScope();
        using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        using var spread = model.TensorParallelize(plan(model), group);

        var logits = model.call(reference["input_ids"]);
        MustEqual("logits", reference["logits"], logits, ParameterLayout.Whole(logits.shape), 0);
        var loss = spread.CrossEntropy(logits, reference["labels"]);
        MustEqual("loss", reference["loss"], loss.reshape(1), ParameterLayout.Whole([1]), 0);

        loss.backward();
        var rounding = Rounding * reference["grad_norm"].item<float>();
        foreach (var (parameter, value) in model.named_parameters())
        {
            var (_, expected) = reference.GradientOf(model, parameter);
            MustEqual(parameter, expected, value.grad!, spread.Layouts.Of(parameter, value), rounding);
        }

        Assert.Contains(model.named_parameters(), named => !spread.Layouts.Of(named.name, named.parameter).IsWhole);
    });

    /// <summary>Between two steps of a training the model can be made whole, to be saved or to compute on one rank alone.</summary>
    [Theory]
    [InlineData("llama", 1)]
    [InlineData("gpt2", 2)]
    public void A_divided_model_is_saved_whole_and_computes_whole(string name, int sharded)
    {
        using var folder = new TemporaryFolder();
        RankHarness.RunSessions(
            4,
            session =>
            {
                using var scope = NewDisposeScope();
                using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
                using var model = session.DistributedModel(() => HuggingFaceModel.Load(ReferenceModels.PathOf(name)));
                var failure = Assert.Throws<InvalidOperationException>(() => model.Module.SaveHuggingFace(folder[$"part{session.Rank}"]));
                Assert.Contains("Save the distributed model instead", failure.Message, StringComparison.Ordinal);
                using (model.GatherParameters())
                {
                    using var _ = no_grad();
                    if (session.Rank == 3)
                        MustEqual("logits", reference["logits"], model.Module.call(reference["input_ids"]), ParameterLayout.Whole(reference["logits"].shape), 0);
                    if (session.IsFirstRank)
                        model.Module.SaveHuggingFace(folder["whole"]);
                }

                using var output = model.Forward(reference["input_ids"], reference["labels"], (logits, labels) => model.CrossEntropy(logits, labels));
                Assert.Equal(reference["loss"].item<float>(), output.ReduceMean(), 1e-4);
            },
            new ParallelConfiguration { TensorParallelDegree = 4 / sharded, ShardedDataParallelDegree = sharded, PrescaledBatch = true });

        using var before = SafetensorsFile.Open(Path.Combine(ReferenceModels.PathOf(name), "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(folder["whole"], "model.safetensors"));
        Assert.All(before.Entries, entry =>
        {
            using var inner = NewDisposeScope();
            Assert.True(before.Read(entry.Name).eq(after.Read(entry.Name)).all().item<bool>(), entry.Name);
        });
    }

    [Fact]
    public void Degrees_that_do_not_divide_heads_are_refused_with_those_that_do()
    {
        var failures = RankHarness.Capture(3, group =>
        {
            using var model = HuggingFaceModel.Load(ReferenceModels.PathOf("llama"));
            using var spread = model.TensorParallelize(model.TensorParallelPlan, group);
        });

        Assert.All(failures, failure => Assert.Contains("'model.layers.0.self_attn.q_proj' has 4 heads of 16 features, which 3 ranks cannot share. "
            + "Tensor-parallel degrees that work: 1, 2, 4.", failure.Failure.Message, StringComparison.Ordinal));
    }

    private static void MustEqual(string what, Tensor whole, Tensor actual, ParameterLayout layout, double rounding)
    {
        using var scope = NewDisposeScope();
        var expected = layout.Slice(whole);
        Assert.Equal(expected.shape, actual.shape);
        var (difference, norm) = ((actual - expected).norm().item<float>(), whole.norm().item<float>());
        Assert.True(difference <= Math.Max(Tolerance * norm, rounding), $"{what} differs by {difference}, and its norm is {norm}");
    }
}
