using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

[Collection(nameof(WholeProcess))]
public sealed class DistributedTransformerTests
{
    public static TheoryData<int, bool, OptimizationGoal> Regimes => Comparison.Regimes;

    [Theory]
    [MemberData(nameof(Regimes))]
    public void Attention_computes_what_one_rank_does(int ranks, bool prescaled, OptimizationGoal goal)
    {
        var options = Options with { CausalMaskSize = 6, UseAlibi = true };
        Comparison.Run(
            ranks, prescaled, goal, own => new DistributedAttentionLayer(options, own), () => new PlainAttention(options, isCross: false),
            (module, inputs) => ((nn.Module<Tensor, Tensor?, Tensor?, Tensor>)module).call(inputs[0]!, inputs[1], null), Randoms.Normal(1, 4, 6, 8), Mask(6));
    }

    [Theory]
    [MemberData(nameof(Regimes))]
    public void Cross_attention_computes_what_one_rank_does(int ranks, bool prescaled, OptimizationGoal goal) => Comparison.Run(
        ranks, prescaled, goal, own => new DistributedAttentionLayer(Options, own, crossAttention: true), () => new PlainAttention(Options, isCross: true),
        (module, inputs) => ((nn.Module<Tensor, Tensor?, Tensor?, Tensor>)module).call(inputs[0]!, inputs[2], inputs[1]),
        Randoms.Normal(1, 4, 3, 8), Randoms.Normal(2, 4, 5, 8), Mask(5));

    [Theory]
    [MemberData(nameof(Regimes))]
    public void The_feed_forward_network_computes_what_one_rank_does(int ranks, bool prescaled, OptimizationGoal goal) => Comparison.Run(
        ranks, prescaled, goal, own => new DistributedTransformerOutputLayer(Options, own), () => new PlainOutput(Options),
        (module, inputs) => ((nn.Module<Tensor, Tensor>)module).call(inputs[0]!), Randoms.Normal(1, 4, 3, 8));

    [Fact]
    public void All_options_compute_what_one_rank_does() => Gen.Select(AnyOptions, AnyRegime, Gen.Bool).Sample(
        (options, regime, oneLayer) =>
        {
            var (ranks, prescaled, goal) = regime;
            var cross = options.AddCrossAttention;
            Func<TensorRanks, nn.Module> distributed = own => oneLayer ? new DistributedTransformerLayer(options, own) : new DistributedTransformer(options, own);
            Func<nn.Module> plain = () => oneLayer ? new PlainLayer(options) : new PlainTransformer(options);
            Comparison.Run(
                ranks, prescaled, goal, distributed, plain,
                (module, inputs) => ((nn.Module<Tensor, Tensor?, Tensor?, Tensor?, Tensor>)module).call(inputs[0]!, inputs[1], inputs[2], inputs[3]),
                Randoms.Normal(1, 4, 5, options.HiddenSize), Mask(5), cross ? Randoms.Normal(2, 4, 3, options.HiddenSize) : null, cross ? Mask(3) : null);
        },
        iter: 40, threads: 1);

    [Fact]
    public void Ranks_with_the_same_batch_drop_the_same_outputs_and_other_attention() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        foreach (var goal in Enum.GetValues<OptimizationGoal>())
        {
            var options = Options with { HiddenDropoutProbability = 0.4, AttentionDropoutProbability = 0.4, PostLayerNorm = false, PreLayerNorm = true };
            using var layer = Comparison.Built(() => new DistributedTransformer(options, new TensorRanks(group) { PrescaledBatch = true, Optimize = goal }));

            // The ranks draw from one generator, here for initial values and then for masks.
            group.Barrier();
            var input = Randoms.Normal(1, 2, 3, 8);
            var output = layer.call(input);
            var other = output.clone();
            group.Broadcast(other, root: 0);
            Assert.True(output.Equals(other));
            Assert.False(output.Equals(layer.call(input)));
            layer.eval();
            Assert.True(layer.call(input).Equals(layer.call(input)));
        }
    });

    [Fact]
    public void Residuals_of_16_bit_streams_are_added_in_float32_where_asked() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        var options = Options with { Float32ResidualAddition = true };
        using var layer = new DistributedTransformerOutputLayer(options, new TensorRanks(group) { PrescaledBatch = true });
        layer.to(ScalarType.BFloat16);
        Assert.Equal(ScalarType.BFloat16, layer.call(Randoms.Normal(1, 2, 3, 8).to_type(ScalarType.BFloat16)).dtype);
    });

    [Fact]
    public void Weights_are_normal_and_biases_zero_where_asked() => RankHarness.Run(2, group =>
    {
        using var layer = new DistributedTransformerLayer(
            Options with { HiddenSize = 64, UseNormalInitialization = true, InitializerRange = 0.5 }, new TensorRanks(group));
        foreach (var (name, parameter) in layer.named_parameters().Where(named => named.name.Contains("dense", StringComparison.Ordinal)))
        {
            if (name.EndsWith("bias", StringComparison.Ordinal))
                Assert.Equal(0, parameter.abs().max().ToSingle());
            else
                Assert.Equal(0.5, parameter.std().ToSingle(), 0.1);
        }
    });

    [Fact]
    public void Memory_is_what_each_goal_promises() => RankHarness.Run(2, group =>
    {
        foreach (var goal in Enum.GetValues<OptimizationGoal>())
        {
            using var layer = new DistributedTransformerLayer(Options, new TensorRanks(group) { Optimize = goal });
            var norm = layer.named_parameters().Single(named => named.name == "output.layernorm.weight").parameter;
            Assert.Equal([goal == OptimizationGoal.Memory ? 4 : 8], norm.shape);
        }
    });

    [Fact]
    public void What_cannot_be_is_refused() => RankHarness.Run(2, group =>
    {
        var ranks = new TensorRanks(group) { Optimize = OptimizationGoal.Speed };
        Assert.EndsWith("1, 3.", Refusal(Options with { NumAttentionHeads = 3 }), StringComparison.Ordinal);
        Assert.EndsWith("1, 5.", Refusal(Options with { IntermediateSize = 5 }), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new DistributedTransformer(Options with { PreLayerNorm = false, PostLayerNorm = false }, ranks));
        Assert.Throws<ArgumentException>(() => new DistributedTransformer(Options with { HiddenDropoutProbability = 1.5 }, ranks));
        using var causal = new DistributedTransformer(Options with { CausalMaskSize = 3 }, ranks);
        using var tooLong = Randoms.Normal(1, 1, 4, 8);
        Assert.Contains("CausalMaskSize is 3", Assert.Throws<ArgumentException>(() => causal.call(tooLong)).Message, StringComparison.Ordinal);
        using var self = new DistributedAttentionLayer(Options, ranks);
        Assert.Throws<ArgumentException>(() => self.call(tooLong, null, tooLong));

        string Refusal(DistributedTransformerOptions options) => Assert.Throws<TensorParallelException>(() => new DistributedTransformer(options, ranks)).Message;
    });

    internal static DistributedTransformerOptions Options { get; } = new()
    {
        NumLayers = 2, NumAttentionHeads = 4, AttentionHeadSize = 3, HiddenSize = 8, IntermediateSize = 12, AttentionDropoutProbability = 0, HiddenDropoutProbability = 0,
    };

    internal static Gen<(int Ranks, bool Prescaled, OptimizationGoal Goal)> AnyRegime { get; } = Gen.Select(Gen.Int[0, 2].Select(power => 1 << power), Gen.Bool, Gen.Enum<OptimizationGoal>());

    internal static Gen<DistributedTransformerOptions> AnyOptions { get; } = Gen.Select(
        Gen.Select(Gen.Int[1, 2], Gen.Int[1, 2], Gen.Int[1, 4], Gen.Int[1, 3]), Gen.Select(Gen.Bool, Gen.Bool, Gen.Bool, Gen.Int[0, 2]), Gen.Select(Gen.Bool, Gen.Bool, Gen.Bool),
        (sizes, kinds, more) => Options with
        {
            NumLayers = sizes.Item1,
            NumAttentionHeads = 4 * sizes.Item2,
            AttentionHeadSize = sizes.Item3,

            // Norms of four features divide by next to nothing now and then, and rounding shows.
            HiddenSize = 4 * (1 + sizes.Item4),
            IntermediateSize = 4 * sizes.Item1,
            CausalMaskSize = kinds.Item1 ? 9 : null,
            UseAlibi = kinds.Item2,
            AddCrossAttention = kinds.Item3,
            PreLayerNorm = kinds.Item4 != 0,
            PostLayerNorm = kinds.Item4 != 1,
            Activation = more.Item1 ? TransformerActivation.Gelu : TransformerActivation.Relu,
            UseNormalInitialization = more.Item2,
            Float32ResidualAddition = more.Item3,
        });

    private static Tensor Mask(long keys)
    {
        var mask = zeros(4, 1, 1, keys);
        mask[1, 0, 0, keys - 1] = -10000;
        mask[2, 0, 0, 1] = -2;
        return mask;
    }
}
