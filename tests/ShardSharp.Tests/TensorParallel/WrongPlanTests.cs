using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel;

/// <summary>A plan that does not fit a model fails with the module's path and what would work, and never with a wrong number.</summary>
public sealed class WrongPlanTests
{
    [Fact]
    public void A_pattern_that_fits_nothing() => MustFail(
        new() { ["blocks.*"] = Column() }, "Pattern 'blocks.*' of the plan fits no module. The model has, among others: _tokens, _blocks.0._first");

    [Fact]
    public void A_column_with_no_row_behind_it() => MustFail(
        new() { ["_blocks.*._up"] = Column() },
        "Module '_blocks.0._up' is column-parallel, but no module of '_blocks.0' that could take its divided output is row-parallel. Give the linear layer "
        + "behind it the style Row, or this one Column(gatherOutput: true).");

    [Fact]
    public void A_row_with_no_column_before_it() => MustFail(
        new() { ["_blocks.*._down"] = Row() },
        "Row-parallel module '_blocks.0._down' was called with all 24 features instead of this rank's 12: what computes them is not divided.");

    [Fact]
    public void A_row_of_other_heads_than_the_column() => MustFail(
        new() { ["_blocks.*._attention._output"] = Row(), ["_blocks.*._attention.*"] = Column(headSize: 4), ["_tokens"] = Row() },
        "Module '_tokens' is a Embedding; the style 'row-parallel' is for a Linear.");

    [Fact]
    public void A_style_for_what_is_only_a_list() => MustFail(
        new() { ["_blocks"] = Custom(new Dictionary<string, int>(), before: (given, _) => given) }, "Module '_blocks' is a ModuleList`1, which is never called itself");

    [Fact]
    public void A_view_that_assumes_all_heads() => MustFail(
        TinyModel.Plan(new TinyShape()).Styles, "which has to be [.., -1, headSize]", new TinyShape { AssumesHeads = true });

    [Fact]
    public void A_norm_over_features_that_are_divided() => MustFail(
        TinyModel.Plan(new TinyShape()).Styles, "Module '_blocks.0._down' computes something else when it is divided over 2 ranks", new TinyShape { NormalisesInner = true });

    [Fact]
    public void A_norm_left_out_where_sequences_are_divided_is_a_matter_of_gradients()
    {
        // Its values are right, so that only its gradient would tell: the plan says which modules treat positions alone.
        var styles = TinyModel.Plan(new TinyShape()).Styles.Where(each => each.Key != "_norm").ToDictionary();
        MustFail(styles, "Module '_norm' has parameters, but no style", sequenceParallel: true);
    }

    /// <summary>Values are right, and each rank has a part of the gradient: of what the block does with its parameter no hook knows.</summary>
    [Theory]
    [InlineData(false, "Module '_blocks.1' has a parameter '_scale' whose gradient is another when it is divided over 2 ranks")]
    [InlineData(true, "Module '_blocks.0', a TinyBlock, is called with what is divided over 2 ranks, and is whole: its gradient would be a part on each rank")]
    public void A_raw_parameter_that_computes_with_divided_features(bool sequenceParallel, string message)
    {
        var styles = TinyModel.Plan(new TinyShape()).Styles.ToDictionary();
        if (sequenceParallel)
            styles["_blocks.*"] = Replicated();
        MustFail(styles, message, new TinyShape { ScalesInner = true }, sequenceParallel: sequenceParallel);
    }

    [Theory]
    [InlineData(false, "Module '_blocks.1._gate' has a parameter 'weight' whose gradient is another")]
    [InlineData(true, "The gradient of what module '_blocks.1._attention._output' returns is another")]
    public void A_layer_between_that_is_not_divided(bool isSummed, string message)
    {
        var styles = TinyModel.Plan(new TinyShape()).Styles.ToDictionary();
        if (isSummed)
            styles["_blocks.*._gate"] = SharedParameters();
        MustFail(styles, message, new TinyShape { Gates = true });
    }

    /// <summary>Where no rank tries the whole model, what cannot be told has to be said.</summary>
    [Theory]
    [InlineData("scale", false, "Module '_blocks.0' has parameters of its own and no style, and calls '_up', which is divided.")]
    [InlineData("scale", true, null)]
    [InlineData("gate", false, "Module '_blocks.0._gate' has parameters and no style, and is called behind '_blocks.0._up', where features are divided.")]
    public void Parameters_between_divided_layers_in_models_that_are_not_tried(string what, bool isSummed, string? message)
    {
        var (shape, whole, losses) = (new TinyShape { ScalesInner = what == "scale", Gates = what == "gate" }, new double[2], new double[2]);
        var styles = TinyModel.Plan(shape).Styles.ToDictionary();
        if (isSummed)
            styles["_blocks.*"] = SharedParameters();
        var failure = Record.Exception(() => Train(2, losses));
        if (message is not null)
        {
            Assert.Contains(message, failure!.ToString(), StringComparison.Ordinal);
            return;
        }

        Assert.Null(failure);
        Train(1, whole);
        Assert.Equal(whole[1], losses[1], 1e-5);

        void Train(int ranks, double[] found) => RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var scope = NewDisposeScope();
                var tokens = (arange(4 * 8, ScalarType.Int64) % TinyModel.Vocabulary).reshape(4, 8);
                using var model = session.DistributedModel(() => Randoms.Filled(new TinyModel(shape)), plan: _ => new TensorParallelPlan(styles));
                using var optimizer = session.DistributedOptimizer(model, parameters => optim.SGD(parameters, 1));
                for (var i = 0; i < found.Length; i++)
                {
                    optimizer.zero_grad();
                    var loss = model.Step(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels)).ReduceMean();
                    optimizer.step();
                    if (session.Rank == 0)
                        found[i] = loss;
                }
            },
            new ParallelConfiguration { TensorParallelDegree = ranks, DelayedParameterInitialization = ranks > 1, PrescaledBatch = ranks > 1 });
    }

    /// <summary>No hook sees it, and all ranks would drop the same of different features.</summary>
    [Theory]
    [InlineData("attention", false, "Module '_blocks.0._attention' draws random numbers in its own code, behind '_blocks.0._attention._value', where features are divided")]
    [InlineData("inner", false, "Module '_blocks.0' draws random numbers in its own code, behind '_blocks.0._up', where features are divided")]
    [InlineData("result", true, "Module '_blocks.0' draws random numbers in its own code, where sequences are divided")]
    public void Dropout_by_function_where_ranks_have_different_values(string where, bool sequenceParallel, string message) => MustFail(
        TinyModel.Plan(new TinyShape()).Styles, message, new TinyShape { Drops = where }, sequenceParallel: sequenceParallel);

    /// <summary>Where no rank tries the whole model, the first step of the training looks.</summary>
    [Theory]
    [InlineData("inner", 2, false, false, "_up', where features are divided")]
    [InlineData("inner", 1, true, false, "Module '_blocks.0' draws random numbers in its own code, behind '_blocks.0._up', where features are divided")]
    [InlineData("result", 1, true, true, "Module '_blocks.0' draws random numbers in its own code, where sequences are divided")]
    public void Dropout_by_function_in_models_that_are_not_tried(string where, int stages, bool delayed, bool sequenceParallel, string message)
    {
        var failure = Assert.ThrowsAny<Exception>(() => RankHarness.RunSessions(
            2 * stages,
            session =>
            {
                using var scope = NewDisposeScope();
                var tokens = (arange(4 * 8, ScalarType.Int64) % TinyModel.Vocabulary).reshape(4, 8);
                using var model = session.DistributedModel(
                    () => new TinyModel(new TinyShape { Drops = where }),
                    plan: _ => TinyModel.Plan(new TinyShape()).WithSequenceParallelism(sequenceParallel),
                    example: () => [tokens]);
                using (model.Forward(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels)))
                    model.Train();
                using var loss = model.Step(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels));
            },
            new ParallelConfiguration
            {
                TensorParallelDegree = 2, PipelineParallelDegree = stages, DelayedParameterInitialization = delayed, PrescaledBatch = true,
            }));
        Assert.Contains(message, failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_example_that_does_not_fit_the_model()
    {
        var failures = RankHarness.Capture(2, group =>
        {
            using var model = new TinyModel(new TinyShape());
            using var spread = model.TensorParallelize(TinyModel.Plan(new TinyShape()), group, [ones(2, 4), ones(2, 4)]);
        });
        Assert.All(failures, failure => Assert.Contains(
            "TinyModel is called with 1 arguments (Tensor input); 2 inputs were given", failure.Failure.Message, StringComparison.Ordinal));
    }

    /// <summary>Ranks of a session draw the same where they have the same values.</summary>
    [Fact]
    public void Dropout_by_function_of_what_ranks_have_alike_agrees()
    {
        var losses = new double[2];
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => new TinyModel(new TinyShape { Drops = "result" }), plan: _ => TinyModel.Plan(new TinyShape()));
                var tokens = (arange(4 * 8, ScalarType.Int64) % TinyModel.Vocabulary).reshape(4, 8);
                losses[session.Rank] = model.Step(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels)).ReduceMean();
                using var eager = model.Step(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels));
                Assert.NotEqual(losses[session.Rank], eager.ReduceMean());
            },
            new ParallelConfiguration { TensorParallelDegree = 2, PrescaledBatch = true });
        Assert.Equal(losses[0], losses[1]);
    }

    [Fact]
    public void Heads_that_ranks_do_not_divide() => MustFail(
        TinyModel.Plan(new TinyShape()).Styles, "has 4 heads of 4 features, which 3 ranks cannot share. Tensor-parallel degrees that work: 1, 2, 4.", ranks: 3);

    [Fact]
    public void Batches_that_differ_between_ranks()
    {
        var failure = Assert.ThrowsAny<Exception>(() => RankHarness.RunSessions(
            2,
            session =>
            {
                using var model = session.DistributedModel(() => new TinyModel(new TinyShape()));
            },
            new ParallelConfiguration { TensorParallelDegree = 2 }));
        Assert.Contains("Set prescaled_batch to true", failure.Message, StringComparison.Ordinal);
    }

    private static void MustFail(
        IReadOnlyDictionary<string, TensorParallelStyle> styles, string message, TinyShape? shape = null, int ranks = 2, bool sequenceParallel = false) =>
        MustFail(new Dictionary<string, TensorParallelStyle>(styles), message, shape, ranks, sequenceParallel);

    private static void MustFail(
        Dictionary<string, TensorParallelStyle> styles, string message, TinyShape? shape = null, int ranks = 2, bool sequenceParallel = false)
    {
        var failures = RankHarness.Capture(ranks, group =>
        {
            using var model = new TinyModel(shape ?? new TinyShape());
            foreach (var parameter in model.parameters())
                parameter.detach().copy_(linspace(-1, 1, parameter.numel()).sin().reshape(parameter.shape));
            using var spread = model.TensorParallelize(new TensorParallelPlan(styles) { SequenceParallel = sequenceParallel }, group);
        });

        Assert.Equal(ranks, failures.Count);
        Assert.All(failures, failure => Assert.IsType<TensorParallelException>(failure.Failure));
        Assert.All(failures, failure => Assert.Contains(message, failure.Failure.Message, StringComparison.Ordinal));
    }
}
