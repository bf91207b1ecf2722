using ShardSharp.Communication;
using ShardSharp.Optimizers;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Optimizers;

/// <summary>The norm of gradients that lie whole on a rank or in parts on several.</summary>
public sealed class GradientNormTests
{
    [Fact]
    public void Is_that_of_all_gradients_as_one_vector()
    {
        using var first = full([2, 2], 2.0, ScalarType.Float32);
        using var second = tensor(-3.0);
        using var third = zeros(0);
        Assert.Equal(5, NormOf([first, second, third], shards: null));
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Takes_any_floating_type_in_any_layout(ScalarType type)
    {
        // 1 + 4 + ... + 15 * 15 = 1240, through rows and through columns.
        using var numbers = arange(16, type).reshape(4, 4);
        Assert.Equal(Math.Sqrt(1240), NormOf([numbers], shards: null));
        Assert.Equal(Math.Sqrt(1240), NormOf([numbers.t()], shards: null));
        Assert.Equal(Math.Sqrt(0 + 16 + 64 + 144), NormOf([numbers.select(1, 0)], shards: null));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Counts_every_element_of_divided_gradients_once(int ranks)
    {
        // Small integers: every sum of their squares is exact, in whatever parts.
        using var whole = randint(-100, 100, [12, 35], ScalarType.Float32, generator: new Generator(7));
        var expected = Math.Sqrt(whole.pow(2).to_type(ScalarType.Int64).sum().item<long>());
        RankHarness.Run(
            ranks,
            group =>
            {
                var part = whole.chunk(group.Size)[group.Rank];
                Assert.Equal(expected, NormOf([part[0], part.narrow(0, 1, part.shape[0] - 1)], group));
            });
    }

    [Fact]
    public void Keeps_what_float32_would_lose()
    {
        // Counting by ones, float32 stops at 2^24.
        using var many = ones((1 << 24) + 3);
        Assert.Equal(Math.Sqrt((1 << 24) + 3), NormOf([many], shards: null));
        using var huge = full(4, 3e38f);
        Assert.Equal(2 * (double)3e38f, NormOf([huge], shards: null), 1e25);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void One_element_that_is_no_number_shows_on_every_rank(float value)
    {
        for (var at = 0; at < 19; at++)
        {
            using var part = ones(19);
            part[at] = value;
            Assert.False(double.IsFinite(NormOf([part], shards: null)));
        }

        RankHarness.Run(
            3,
            group =>
            {
                using var part = full(5, group.Rank == 1 ? value : 1);
                Assert.False(double.IsFinite(NormOf([part], group)));
            });
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(5)]
    [InlineData(1e9)]
    public void Clipping_scales_as_PyTorch_does(double maximum)
    {
        var parameters = Enumerable.Range(0, 3).Select(i => new Parameter(zeros(7, 3 + i))).ToArray();
        var own = Enumerable.Range(0, 3).Select(i => Randoms.Normal(i, 7, 3 + i)).ToArray();
        for (var i = 0; i < 3; i++)
            parameters[i].grad = own[i].clone();

        var norm = NormOf(own, shards: null);
        GradientNorm.Clip(own, norm, maximum);

        Assert.Equal(nn.utils.clip_grad_norm_(parameters, maximum), norm, norm * 1e-6);
        for (var i = 0; i < 3; i++)
            Assert.True(own[i].allclose(parameters[i].grad!, 1e-6, 1e-9));
        Assert.True(NormOf(own, shards: null) <= Math.Min(maximum, norm) * (1 + 1e-6));
    }

    [Fact]
    public void Clipping_reaches_views_and_leaves_alone_what_is_short_enough()
    {
        using var slice = full(10, 3.0);
        using var view = slice.narrow(0, 2, 4);
        GradientNorm.Clip([view], 6, 3);
        Assert.Equal([3, 3, 1.5f, 1.5f, 1.5f, 1.5f, 3, 3, 3, 3], slice.data<float>().ToArray(), (a, b) => Math.Abs(a - b) < 1e-6);
        using var same = slice.clone();
        GradientNorm.Clip([slice], 1, 1.001);
        Assert.True(slice.Equals(same));
    }

    private static double NormOf(Tensor[] gradients, ProcessGroup? shards) => GradientNorm.Of(gradients.Select(gradient => (gradient, 1)), shards);
}
