using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

[Collection(nameof(WholeProcess))]
public sealed class DistributedTransformerLMHeadTests
{
    private static readonly DistributedLanguageModelOptions Options = new()
    {
        NumLayers = 1, NumAttentionHeads = 4, AttentionHeadSize = 2, HiddenSize = 8, IntermediateSize = 8, VocabularySize = 11, NumPositions = 7,
        AttentionDropoutProbability = 0, HiddenDropoutProbability = 0,
    };

    [Fact]
    public void All_options_compute_what_one_rank_does() => Gen.Select(
        DistributedTransformerTests.AnyRegime, Gen.Select(Gen.Bool, Gen.Bool, Gen.Bool, Gen.Bool), Gen.Select(Gen.Bool, Gen.Bool, Gen.Int[0, 2])).Sample(
        (regime, parts, kinds) =>
        {
            var options = Options with
            {
                NumPositions = parts.Item1 ? 7 : 0,
                NumTokenTypes = parts.Item2 ? 3 : 0,
                AddLanguageModelHead = parts.Item3,
                CausalMaskSize = parts.Item4 ? 7 : null,
                UseAlibi = !parts.Item1,
                AddCrossAttention = kinds.Item1,
                PreLayerNorm = kinds.Item3 != 0,
                PostLayerNorm = kinds.Item3 != 1,
            };
            var given = kinds.Item2;
            Comparison.Run(
                regime.Ranks, regime.Prescaled, regime.Goal, own => new DistributedTransformerLMHead(options, own), () => new PlainLanguageModel(options),
                (module, inputs) => ((nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor?, Tensor?, Tensor>)module).call(
                    inputs[0]!, inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]),
                Tokens(1, 11), given ? Mask(5) : null, parts.Item2 && given ? Tokens(2, 3) : null, parts.Item1 && given ? Tokens(3, 7) : null,
                kinds.Item1 ? Randoms.Normal(4, 4, 3, 8) : null, kinds.Item1 ? Mask(3) : null);
        },
        iter: 30, threads: 1);

    [Fact]
    public void The_head_has_the_parameter_of_the_embedding() => RankHarness.Run(2, group =>
    {
        using var module = new DistributedTransformerLMHead(Options, new TensorRanks(group));
        Assert.Same(module.get_parameter("word_embedding.weight"), module.get_parameter("lm_head.weight"));
        Assert.Equal([11, 4], module.get_parameter("lm_head.weight")!.shape);
    });

    [Fact]
    public void What_has_no_embedding_is_named() => RankHarness.Run(1, group =>
    {
        using var module = new DistributedTransformerLMHead(Options, new TensorRanks(group));
        Assert.Contains("token 11", Failure(full([1, 2], 11L), null), StringComparison.Ordinal);
        Assert.Contains("NumPositions is 7", Failure(zeros(1, 8, ScalarType.Int64), null), StringComparison.Ordinal);
        Assert.Contains("NumTokenTypes is 0", Failure(Tokens(1, 11), Tokens(1, 2)), StringComparison.Ordinal);

        string Failure(Tensor tokens, Tensor? types) =>
            Assert.Throws<ArgumentException>(() => module.call(tokens, null, types, null, null, null)).Message;
    });

    [Fact]
    public void A_hidden_size_that_ranks_do_not_divide_is_refused_with_degrees_that_work() => RankHarness.Run(4, group => Assert.EndsWith(
        "1, 2.", Assert.Throws<TensorParallelException>(() => new DistributedTransformerLMHead(Options with { HiddenSize = 6 }, new TensorRanks(group))).Message,
        StringComparison.Ordinal));

    private static Tensor Tokens(ulong seed, long count) => randint(count, [4, 5], generator: new Generator(seed));

    private static Tensor Mask(long keys)
    {
        var mask = zeros(4, keys, ScalarType.Int64);
        mask[2, 1] = 1;
        return mask;
    }
}
