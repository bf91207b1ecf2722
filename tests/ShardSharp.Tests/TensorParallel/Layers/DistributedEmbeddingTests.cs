using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Layers;

[Collection(nameof(WholeProcess))]
public sealed class DistributedEmbeddingTests
{
    private static readonly Gen<DistributedEmbeddingOptions> Options = Gen.Select(
        Gen.Bool, Gen.Bool, Gen.Bool, Gen.Int[1, 3],
        (padding, limited, frequency, norm) => new DistributedEmbeddingOptions
        {
            PaddingIndex = padding ? 2 : null, MaxNorm = limited ? 0.7 : null, ScaleGradientByFrequency = frequency, NormType = norm,
        });

    [Fact]
    public void Any_option_computes_what_one_rank_does() => Gen.Select(Gen.Int[1, 4], Gen.Int[1, 3], Gen.Int[1, 3], Gen.Bool, Options).Sample(
        (ranks, perRank, batch, prescaled, options) =>
        {
            using var tokens = randint(7, [batch * ranks, 5], generator: new Generator(3));
            using var initial = Randoms.Normal(4, 7, ranks * perRank);
            Comparison.Run(
                ranks, prescaled, OptimizationGoal.Memory, own => new DistributedEmbedding(7, ranks * perRank, own, options, initial),
                () => Whole(initial, options),
                (module, inputs) => ((nn.Module<Tensor, Tensor>)module).call(inputs[0]!), tokens);
        },
        iter: 40, threads: 1);

    [Fact]
    public void Vectors_begin_as_slices_of_one_ranks_with_zeros_for_padding() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        using var module = new DistributedEmbedding(5, 4, new TensorRanks(group), new DistributedEmbeddingOptions { PaddingIndex = 3, InitializerRange = 2 });
        var weight = module.get_parameter("weight")!;
        Assert.Equal([5, 2], weight.shape);
        Assert.Equal(0, weight[3].abs().max().ToSingle());
        Assert.True(weight.std().ToSingle() > 0.5);
    });

    [Fact]
    public void Tokens_without_a_vector_are_named() => RankHarness.Run(1, group =>
    {
        using var module = new DistributedEmbedding(5, 4, new TensorRanks(group));
        using var tokens = tensor(new long[] { 1, 5 }).unsqueeze(0);
        Assert.Contains("token 5; it has 0 to 4", Assert.Throws<ArgumentException>(() => module.call(tokens)).Message, StringComparison.Ordinal);
    });

    [Fact]
    public void Elements_that_ranks_do_not_divide_are_refused() => RankHarness.Run(3, group => Assert.EndsWith(
        "1, 2, 4, 8.", Assert.Throws<TensorParallelException>(() => new DistributedEmbedding(5, 8, new TensorRanks(group))).Message, StringComparison.Ordinal));

    private static Embedding Whole(Tensor initial, DistributedEmbeddingOptions options)
    {
        using var _ = no_grad();
        var whole = nn.Embedding(initial.shape[0], initial.shape[1], options.PaddingIndex, options.MaxNorm, options.NormType, options.ScaleGradientByFrequency);
        whole.weight!.copy_(initial);
        return whole;
    }
}
