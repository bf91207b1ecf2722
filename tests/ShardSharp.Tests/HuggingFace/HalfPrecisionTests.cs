using ShardSharp.HuggingFace;
using ShardSharp.Precision;
using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.HuggingFace;

/// <summary>Whole models in 16-bit types, whose products take memory for themselves where their sizes are odd.</summary>
public sealed class HalfPrecisionTests
{
    [Theory]
    [InlineData("gpt2", "bf16")]
    [InlineData("llama", "bf16")]
    [InlineData("mixtral", "bf16")]
    [InlineData("gpt2", "fp16")]
    public void Models_train_as_in_float32(string model, string type)
    {
        var expected = Losses(model, new ParallelConfiguration());
        var losses = Losses(model, new ParallelConfiguration { BFloat16 = type == "bf16", Float16 = type == "fp16" });
        Assert.All(expected.Zip(losses), pair => Assert.Equal(pair.First, pair.Second, 0.02 * pair.First));
    }

    private static List<double> Losses(string name, ParallelConfiguration configuration)
    {
        var losses = new List<double>();
        RankHarness.RunSessions(
            1,
            session =>
            {
                using var scope = NewDisposeScope();
                using var model = session.DistributedModel(() => HuggingFaceModel.Load(ReferenceModels.PathOf(name)));
                using var optimizer = session.DistributedOptimizer(
                    model, parameters => optim.SGD(parameters, 0.1),
                    lossScaling: configuration.Float16 ? LossScaling.Static(128) : null);
                model.Train();
                for (var step = 0; step < 3; step++)
                {
                    var tokens = (arange(8 * 7, ScalarType.Int64) * 5 % 97).reshape(8, 7);
                    optimizer.zero_grad();
                    using var output = model.Step(tokens, tokens, LanguageModelLoss.Aligned);
                    losses.Add(output.ReduceMean());
                    optimizer.step();
                }
            },
            configuration with { Microbatches = 2 });
        return losses;
    }
}
