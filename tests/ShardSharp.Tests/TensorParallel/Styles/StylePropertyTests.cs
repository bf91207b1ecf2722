using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static ShardSharp.TensorParallel.TensorParallelStyle;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Styles;

/// <summary>Divided layers of any shape compute what whole ones do, forward and backward.</summary>
public sealed class StylePropertyTests
{
    /// <summary>A norm of few outputs makes numbers of rounding errors, unless it adds something to their variance; of one output it makes nothing else.</summary>
    private const double Variance = 0.01;

    private static readonly Gen<(int Ranks, int Inputs, int Inner, int Outputs, bool Bias, bool Sequence, int Length, int Seed)> Networks =
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 5], Gen.Int[4, 11], Gen.Int[2, 5], Gen.Bool, Gen.Bool, Gen.Int[4, 9], Gen.Int[0, 1 << 20]);

    [Fact]
    public void A_column_and_a_row_are_a_network() => Networks.Sample(
        each => MustComputeTheSame(
            each.Ranks,
            each.Seed,
            () => nn.Sequential(("up", nn.Linear(each.Inputs, each.Inner, each.Bias)), ("act", nn.GELU()), ("down", nn.Linear(each.Inner, each.Outputs, each.Bias)),
                ("norm", nn.LayerNorm(each.Outputs, Variance)), ("last", nn.Linear(each.Outputs, 4))),
            new() { ["up"] = Column(), ["down"] = Row(), ["norm"] = SequenceParallel(), ["last"] = Column(gatherOutput: true) },
            each.Sequence,
            generator => rand([2, each.Sequence ? each.Ranks * (1 + (each.Length % 3)) : each.Length, each.Inputs], generator: generator),
            scatter: each.Sequence),
        iter: 25,
        threads: 1);

    private static readonly Gen<(int Ranks, int Vocabulary, int Padding, bool Sequence, int Length, int Seed)> Embeddings =
        Gen.Select(Gen.Int[1, 4], Gen.Int[4, 17], Gen.Int[-1, 16], Gen.Bool, Gen.Int[4, 9], Gen.Int[0, 1 << 20]);

    [Fact]
    public void An_embedding_looks_up_what_others_have() => Embeddings.Sample(
        each => MustComputeTheSame(
            each.Ranks,
            each.Seed,
            () => nn.Sequential(
                ("tokens", nn.Embedding(each.Vocabulary, 3, each.Padding < 0 || each.Padding >= each.Vocabulary ? null : each.Padding)),
                ("norm", nn.LayerNorm(3)), ("last", nn.Linear(3, 5))),
            new() { ["tokens"] = VocabularyEmbedding(), ["norm"] = SequenceParallel(), ["last"] = Column(gatherOutput: true) },
            each.Sequence,
            generator => randint(each.Vocabulary, [2, each.Length], ScalarType.Int64, generator: generator),
            scatter: false),
        iter: 25,
        threads: 1);

    private static readonly Gen<(int Ranks, int KeyHeads, int PerKey, int Size, bool Bias, bool Sequence, bool Fused, int Seed)> Attentions = Gen.Select(
        Gen.Int[0, 2].Select(power => 1 << power), Gen.Int[0, 2].Select(power => 1 << power), Gen.Int[1, 4], Gen.Int[1, 3], Gen.Bool, Gen.Bool, Gen.Bool, Gen.Int[0, 1 << 20]);

    /// <summary>Ranks share key heads, or hold the same ones, whose gradients are then those of all queries.</summary>
    [Fact]
    public void Grouped_queries_find_their_keys() => Attentions.Where(each => each.KeyHeads * each.PerKey % each.Ranks == 0).Sample(
        each => MustComputeTheSame(
            each.Ranks,
            each.Seed,
            () => nn.Sequential(("attention", new GroupedAttention(each.KeyHeads * each.PerKey, each.KeyHeads, each.Size, each.Bias, each.Fused)), ("norm", nn.LayerNorm(6)), ("last", nn.Linear(6, 4))),
            Grouped(each.KeyHeads * each.PerKey, each.KeyHeads, each.Size, each.Fused),
            each.Sequence,
            generator => rand([2, each.Ranks * 2, 6], generator: generator),
            scatter: each.Sequence),
        iter: 25,
        threads: 1);

    /// <summary>Styles for <see cref="GroupedAttention"/> in a Sequential with a norm and a last layer behind it.</summary>
    internal static Dictionary<string, TensorParallelStyle> Grouped(int heads, int keyHeads, int size, bool fused)
    {
        var styles = new Dictionary<string, TensorParallelStyle>
        {
            ["attention._output"] = Row(size), ["norm"] = SequenceParallel(), ["last"] = Column(gatherOutput: true),
        };
        if (fused)
        {
            styles["attention._fused"] = FusedColumn(size, copyHeads: true, heads * size, keyHeads * size, keyHeads * size);
            return styles;
        }

        styles["attention._query"] = Column(headSize: size);
        styles["attention._key"] = styles["attention._value"] = Column(headSize: size, copyHeads: true);
        return styles;
    }

    [Theory]
    [InlineData("max_norm")]
    [InlineData("sparse")]
    [InlineData("scale_grad_by_freq")]
    public void An_embedding_with_options_that_cannot_be_divided_is_refused(string option)
    {
        var failures = RankHarness.Capture(2, group =>
        {
            using var model = nn.Sequential(("tokens", nn.Embedding(
                6, 3, max_norm: option == "max_norm" ? 1 : null, sparse: option == "sparse", scale_grad_by_freq: option == "scale_grad_by_freq")));
            var before = model.parameters().Single().detach().clone();
            Assert.Contains($"option {option}", Assert.Throws<TensorParallelException>(() => model.TensorParallelize(
                new TensorParallelPlan(new Dictionary<string, TensorParallelStyle> { ["tokens"] = VocabularyEmbedding() }), group, [])).Message, StringComparison.Ordinal);
            Assert.True(before.Equals(model.parameters().Single()));
        });
        Assert.Empty(failures);
    }

    [Fact]
    public void A_token_outside_the_vocabulary_is_an_error_on_every_rank()
    {
        var failures = RankHarness.Capture(2, group =>
        {
            using var model = Randoms.Filled(nn.Sequential(("tokens", nn.Embedding(6, 3))));
            using var spread = model.TensorParallelize(
                new TensorParallelPlan(new Dictionary<string, TensorParallelStyle> { ["tokens"] = VocabularyEmbedding() }), group);
            using var tokens = tensor(new long[] { 2, 6 });
            model.call(tokens);
        });
        Assert.Equal(2, failures.Count);
        Assert.All(failures, failure => Assert.Contains("Module 'tokens' was called with token 6", failure.Failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_custom_style_divides_what_it_is_told_to()
    {
        var styles = new Dictionary<string, TensorParallelStyle>
        {
            ["up"] = Custom(
                new Dictionary<string, int> { ["weight"] = 0, ["bias"] = 0 },
                (given, group) => [((Tensor)given[0]!).CopyToRanks(group)],
                (returned, group) => ((Tensor)returned!).GatherAlong(-1, group, alike: true)),
        };
        MustComputeTheSame(2, 7, () => nn.Sequential(("up", nn.Linear(3, 4))), styles, false, generator => rand([2, 5, 3], generator: generator), scatter: false);
    }

    private static void MustComputeTheSame(
        int ranks, int seed, Func<Sequential> create, Dictionary<string, TensorParallelStyle> styles, bool sequenceParallel, Func<Generator, Tensor> draw,
        bool scatter)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        using var whole = create();
        var input = draw(generator);
        var expected = whole.call(input);
        using var other = new Generator((ulong)seed + 1);
        var factor = rand(expected.shape, generator: other);
        (expected * factor).sum().backward();
        var gradients = whole.named_parameters().ToDictionary(named => named.name, named => named.parameter.grad!);
        RankHarness.Run(ranks, group =>
        {
            using var inner = NewDisposeScope();
            using var model = create();
            model.load_state_dict(whole.state_dict());
            var plan = new TensorParallelPlan(styles) { SequenceParallel = sequenceParallel };

            // An example that was made up is whole; here the model begins with a part of the sequence.
            using var spread = model.TensorParallelize(plan, group, scatter ? [] : null);
            var own = scatter ? input.ScatterAlong(-2, group) : input;
            var actual = model.call(own);
            (actual * factor).sum().backward();
            Assert.True(allclose(expected, actual, 1e-4, 1e-5), $"{actual} instead of {expected}");
            Assert.All(model.named_parameters(), named =>
                Assert.True(allclose(spread.Layouts.Of(named.name, named.parameter).Slice(gradients[named.name]), named.parameter.grad!, 1e-4, 1e-5), named.name));
        });
    }
}
