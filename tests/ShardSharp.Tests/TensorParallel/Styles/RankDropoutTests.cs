using ShardSharp.TensorParallel;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Tests.HuggingFace;
using static TorchSharp.torch;

namespace ShardSharp.Tests.TensorParallel.Styles;

/// <summary>Dropout agrees between ranks on what they have alike, and differs on what is divided; ranks are threads that share a generator.</summary>
[Collection(nameof(WholeProcess))]
public sealed class RankDropoutTests
{
    private const double Probability = 0.3;

    private static readonly string[] Keys = ["embd_pdrop", "attn_pdrop", "resid_pdrop", "hidden_dropout_prob", "attention_probs_dropout_prob"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Masks_agree_unless_the_style_says_otherwise(bool divided)
    {
        var outputs = RankHarness.Run(2, group =>
        {
            using var scope = NewDisposeScope();
            using var model = nn.Sequential(("dropout", nn.Dropout(Probability)));
            var styles = new Dictionary<string, TensorParallelStyle>();
            if (divided)
                styles["dropout"] = TensorParallelStyle.SharedParameters();
            using var spread = model.TensorParallelize(new TensorParallelPlan(styles), group);
            var input = ones(64, 64).requires_grad_();
            var (first, second) = (model.call(input), model.call(input));
            first.sum().backward();

            Assert.True(input.grad!.Equals(first));
            Assert.False(first.Equals(second));
            Assert.Equal(Probability, first.eq(0).to_type(ScalarType.Float64).mean().item<double>(), 0.05);
            Assert.Equal(1 / (1 - Probability), first.max().item<float>(), 1e-6);
            model.eval();
            Assert.True(model.call(input).Equals(input));
            return first.detach().data<float>().ToArray();
        });

        Assert.Equal(!divided, outputs[0].SequenceEqual(outputs[1]));
    }

    /// <summary>All ranks of a group have the same logits, and the same gradients of what they hold whole.</summary>
    [Theory]
    [InlineData("gpt2-options", false)]
    [InlineData("gpt2-options", true)]
    [InlineData("bert", true)]
    public void A_model_with_dropout_stays_in_agreement(string name, bool sequenceParallel)
    {
        using var changed = new ChangedModel(name).With(configuration =>
        {
            foreach (var key in Keys.Where(configuration.ContainsKey))
                configuration[key] = Probability;
        });
        var ranks = RankHarness.Run(2, group =>
        {
            using var scope = NewDisposeScope();
            using var reference = new ReferenceFile(ReferenceModels.PathOf(name));
            using var model = changed.Load();
            model.train();
            using var spread = model.TensorParallelize(model.TensorParallelPlan.WithSequenceParallelism(sequenceParallel), group);
            var logits = model.call(reference["input_ids"]);
            spread.CrossEntropy(logits, reference["labels"]).backward();
            Assert.False(logits.allclose(reference["logits"], 1e-2, 1e-2));
            var whole = model.named_parameters().Where(named => spread.Layouts.Of(named.name, named.parameter).IsWhole);
            return new[] { logits.detach() }.Concat(whole.Select(named => named.parameter.grad!)).Select(tensor => tensor.flatten().data<float>().ToArray()).ToArray();
        });

        Assert.True(ranks[0].Length > 10);
        Assert.All(ranks[0].Zip(ranks[1]), pair => Assert.Equal(pair.First, pair.Second));
    }
}
