using ShardSharp.HuggingFace;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.HuggingFace;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Automatic;

/// <summary>Plans made from one forward divide what can be divided, and say why the rest was left alone.</summary>
public sealed class AutomaticPlanTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Finds_attention_and_feed_forward_networks(bool fused)
    {
        using var model = Created(new TinyShape { Fused = fused });
        var plan = TensorParallelPlan.Automatic(model, 2);

        Assert.Equal(fused ? "column-parallel in 3 sections" : "column-parallel", plan.Styles[$"_blocks.0._attention.{(fused ? "_fused" : "_query")}"].Description);
        Assert.Equal("row-parallel", plan.Styles["_blocks.1._attention._output"].Description);
        Assert.Equal("column-parallel", plan.Styles["_blocks.1._up"].Description);
        Assert.Equal("row-parallel", plan.Styles["_blocks.0._down"].Description);
        Assert.Equal("vocabulary-parallel", plan.Styles["_tokens"].Description);
        Assert.Equal("column-parallel, output gathered", plan.Styles["_head"].Description);
        Assert.Equal("a LayerNorm computes the same on every rank", plan.Reasons["_norm"]);
    }

    /// <summary>Where the code between layers assumes all of what would be divided, they stay whole, and the others are divided.</summary>
    [Fact]
    public void Leaves_alone_what_cannot_be_divided_and_says_why()
    {
        using var model = Created(new TinyShape { AssumesHeads = true, NormalisesInner = true, Inner = 26 });
        var plan = TensorParallelPlan.Automatic(model, 2);

        Assert.Equal(["_head", "_tokens"], plan.Styles.Keys.Order());
        Assert.Contains("a view that assumes all heads", plan.Reasons["_blocks.0._attention._query"], StringComparison.Ordinal);
        Assert.Contains("does not add up", plan.Reasons["_blocks.1._up"], StringComparison.Ordinal);
        using var other = Created(new TinyShape { Inner = 27 });
        Assert.Contains("2 ranks do not divide its 27 features", TensorParallelPlan.Automatic(other, 2).Reasons["_blocks.1._up"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, false)]
    [InlineData(4, true)]
    public void The_divided_model_computes_the_same(int ranks, bool fused)
    {
        using var scope = NewDisposeScope();
        var shape = new TinyShape { Fused = fused };
        using var whole = Created(shape);
        var tokens = arange(14, ScalarType.Int64).reshape(2, 7);
        var expected = whole.call(tokens);
        expected.square().mean().backward();
        var gradients = whole.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad!);
        RankHarness.Run(ranks, group =>
        {
            using var inner = NewDisposeScope();
            using var model = new TinyModel(shape);
            model.load_state_dict(whole.state_dict());
            using var spread = model.TensorParallelize(TensorParallelPlan.Automatic(model, group.Size), group);
            var actual = model.call(tokens);
            actual.square().mean().backward();
            Assert.True(allclose(expected, actual, 1e-5, 1e-6));
            Assert.All(model.named_parameters(), named =>
                Assert.True(allclose(spread.Layouts.Of(named.name, named.parameter).Slice(gradients[named.name]), named.parameter.grad!, 1e-4, 1e-6), named.name));
            Assert.Contains(spread.Report.Spread, each => each == ("_blocks.0._up", "column-parallel"));
            Assert.Contains("_norm: left alone, a LayerNorm computes the same on every rank", spread.Report.ToString(), StringComparison.Ordinal);
        });
    }

    /// <summary>A session divides sequences where memory counts and trying shows that it can be; where not, the report says why.</summary>
    [Theory]
    [InlineData(OptimizationGoal.Memory, false)]
    [InlineData(OptimizationGoal.Speed, false)]
    [InlineData(OptimizationGoal.Memory, true)]
    public void Sequences_are_divided_where_positions_are_treated_alone(OptimizationGoal goal, bool mixes) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var scope = NewDisposeScope();
            var shape = new TinyShape { MixesPositions = mixes };
            using var whole = Created(shape);
            var tokens = (arange(4 * 7, ScalarType.Int64) % TinyModel.Vocabulary).reshape(4, 7);
            var expected = nn.functional.cross_entropy(whole.call(tokens).flatten(0, 1), tokens.flatten());
            using var model = session.DistributedModel(() => Created(shape));
            Assert.Equal(expected.item<float>(), model.Step(tokens, tokens, (logits, labels) => model.CrossEntropy(logits, labels)).ReduceMean(), 1e-5);
            var report = model.TensorParallelism!.Report;
            Assert.Equal(goal == OptimizationGoal.Memory && !mixes, report.Spread.Contains(("_norm", "sequence-parallel")));
            Assert.Equal(mixes ? "'_blocks.0._second' is called with something that is neither the whole sequence nor a rank's part of it" : null, report.SequenceProblem);
        },
        new ParallelConfiguration { TensorParallelDegree = 2, PrescaledBatch = true, Optimize = goal });

    [Theory]
    [InlineData("mixes", "'_blocks.0._second' is called with something that is neither the whole sequence nor a rank's part of it")]
    [InlineData("drops", "'_blocks.0' draws random numbers in its own code")]
    [InlineData("scales", "'_blocks.0' has parameters of its own and calls others")]
    public void Sequences_that_cannot_be_divided_are_refused_with_the_reason(string what, string reason)
    {
        using var model = Created(new TinyShape { MixesPositions = what == "mixes", Drops = what == "drops" ? "result" : null, ScalesInner = what == "scales" });
        var plan = TensorParallelPlan.Automatic(model, 2);
        Assert.Contains(reason, Assert.Throws<TensorParallelException>(() => plan.WithSequenceParallelism()).Message, StringComparison.Ordinal);
    }

    /// <summary>The plans of architectures divide what an automatic one finds by itself.</summary>
    [Theory]
    [InlineData("gpt2", 9 + 9)]
    [InlineData("llama", 28 + 2)]
    [InlineData("gpt-neox", 8 + 2)]
    [InlineData("gptj", 12 + 1)]
    [InlineData("bert", 12 + 2)]
    [InlineData("mixtral", 32 + 2)]
    public void Finds_the_layers_of_published_architectures(string name, int divided)
    {
        using var model = HuggingFaceModel.Load(ReferenceModels.PathOf(name));
        var plan = TensorParallelPlan.Automatic(model, 2);
        Assert.True(divided == plan.Styles.Count, $"{plan.Styles.Count}: {string.Join(", ", plan.Styles.Keys)}; not {string.Join(", ", plan.Reasons)}");
    }

    [Fact]
    public void A_model_of_which_nothing_can_be_divided_is_refused()
    {
        using var model = nn.Sequential(("only", nn.Linear(3, 1)));
        var failure = Assert.Throws<TensorParallelException>(() => TensorParallelPlan.Automatic(model, 2));
        Assert.Contains("only: left alone", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_nothing_can_be_made_up_for_asks_for_an_example()
    {
        using var model = nn.Bilinear(3, 4, 5);
        Assert.Contains("example", Assert.Throws<TensorParallelException>(() => TensorParallelPlan.Automatic(model, 2)).Message, StringComparison.Ordinal);
    }

    private static TinyModel Created(TinyShape shape) => Randoms.Filled(new TinyModel(shape));
}
