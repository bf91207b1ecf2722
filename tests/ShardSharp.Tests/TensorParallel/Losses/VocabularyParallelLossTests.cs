using CsCheck;
using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Losses;

/// <summary>The loss of divided logits is that of the whole ones, forward and backward.</summary>
public sealed class VocabularyParallelLossTests
{
    private static readonly Gen<(int Ranks, int Rows, int Vocabulary, double Smoothing, double ZLoss, int IgnoredShare, int Seed)> Cases = Gen.Select(
        Gen.Int[1, 4], Gen.Int[1, 9], Gen.Int[4, 23], Gen.Int[0, 2].Select(i => new[] { 0, 0.1, 1 }[i]), Gen.Int[0, 2].Select(i => new[] { 0, 1e-3, 0.5 }[i]), Gen.Int[0, 3], Gen.Int[0, 1 << 20]);

    [Fact]
    public void Is_that_of_whole_logits() => Cases.Sample(
        each =>
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator((ulong)each.Seed);
            var logits = randn([each.Rows, each.Vocabulary], generator: generator) * 5;
            var labels = randint(each.Vocabulary, [each.Rows], ScalarType.Int64, generator: generator);
            var ignored = rand([each.Rows], generator: generator).lt(each.IgnoredShare / 4.0);
            ignored[0] = tensor(false);
            labels = labels.masked_fill(ignored, -7);
            var options = new CrossEntropyOptions { IgnoreIndex = -7, LabelSmoothing = each.Smoothing, ZLoss = each.ZLoss };
            var (loss, gradient) = Plain(logits, labels, options);
            RankHarness.Run(each.Ranks, group =>
            {
                using var inner = NewDisposeScope();
                var own = new Division(each.Vocabulary, group.Size)[group.Rank];
                var part = logits.narrow(1, own.Start, own.Length).clone().requires_grad_();
                var divided = VocabularyParallelLoss.CrossEntropy(part, labels, group, each.Vocabulary, options);
                (divided * 3).backward();
                Assert.Equal(loss.item<float>(), divided.item<float>(), 2e-6 * Math.Max(1, Math.Abs(loss.item<float>())));
                Assert.True(allclose(gradient.narrow(1, own.Start, own.Length) * 3, part.grad!, 1e-5, 1e-6), $"{part.grad} instead of 3 * {gradient}");
            });
        },
        iter: 60,
        threads: 1);

    [Fact]
    public void Takes_logits_of_any_floating_type_and_leading_dimensions() => RankHarness.Run(2, group =>
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var logits = randn([2, 3, 7], generator: generator).to_type(ScalarType.BFloat16);
        var labels = randint(7, [2, 3], ScalarType.Int64, generator: generator);
        var own = new Division(7, 2)[group.Rank];
        var part = logits.narrow(2, own.Start, own.Length).clone().requires_grad_();
        var loss = VocabularyParallelLoss.CrossEntropy(part, labels, group, 7);
        loss.backward();
        var expected = nn.functional.cross_entropy(logits.to_type(ScalarType.Float32).flatten(0, 1), labels.flatten());
        Assert.Equal(expected.item<float>(), loss.item<float>(), 1e-5);
        Assert.Equal(ScalarType.Float32, loss.dtype);
        Assert.Equal(ScalarType.BFloat16, part.grad!.dtype);
        Assert.Equal(part.shape, part.grad!.shape);
    });

    [Fact]
    public void Is_no_number_where_no_label_counts_as_in_torch()
    {
        using var scope = NewDisposeScope();
        Assert.True(float.IsNaN(VocabularyParallelLoss.CrossEntropy(zeros(2, 3), full([2], -100, ScalarType.Int64), group: null).item<float>()));
    }

    [Theory]
    [InlineData(5, 0.0, 0.0, "Label 5 is none of the 5 tokens")]
    [InlineData(-3, 0.0, 0.0, "Label -3 is none of the 5 tokens")]
    [InlineData(1, 1.5, 0.0, "Label smoothing is from 0 to 1, not 1.5")]
    [InlineData(1, 0.0, -1.0, "z-loss is at least 0, not -1")]
    public void Refuses_what_makes_no_sense(long label, double smoothing, double zLoss, string message)
    {
        using var scope = NewDisposeScope();
        var options = new CrossEntropyOptions { LabelSmoothing = smoothing, ZLoss = zLoss };
        var failure = Assert.Throws<ArgumentException>(() => VocabularyParallelLoss.CrossEntropy(zeros(2, 5), full([2], label, ScalarType.Int64), null, null, options));
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_shapes_that_do_not_fit()
    {
        using var scope = NewDisposeScope();
        var failure = Assert.Throws<ArgumentException>(() => VocabularyParallelLoss.CrossEntropy(zeros(2, 5), zeros(3, ScalarType.Int64), group: null));
        Assert.Contains("[2, 5] do not fit labels [3]", failure.Message, StringComparison.Ordinal);
    }

    private static (Tensor Loss, Tensor Gradient) Plain(Tensor logits, Tensor labels, CrossEntropyOptions options)
    {
        var whole = logits.clone().requires_grad_();
        var loss = nn.functional.cross_entropy(whole, labels, ignore_index: options.IgnoreIndex, label_smoothing: options.LabelSmoothing);
        var counted = labels.ne(options.IgnoreIndex).to_type(ScalarType.Float32);
        loss = loss + ((whole.logsumexp(1).square() * counted).sum() / counted.sum() * options.ZLoss);
        loss.backward();
        return (loss.detach(), whole.grad!);
    }
}
