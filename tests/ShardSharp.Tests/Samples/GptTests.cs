using TrainGpt.Model;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Samples;

public sealed class GptTests
{
    private static readonly GptSettings Settings = new(Vocabulary: 50, Sequence: 8, Hidden: 16, Layers: 2, Heads: 4);

    [Fact]
    public void A_later_token_changes_no_earlier_logits()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt(Settings);
        var before = model.call(tensor(new long[,] { { 1, 2, 3, 4 } }));
        var after = model.call(tensor(new long[,] { { 1, 2, 3, 9 } }));
        Assert.Equal([1, 4, 50], before.shape);
        Assert.True(before[.., ..3].allclose(after[.., ..3], rtol: 0, atol: 1e-6));
        Assert.False(before[.., 3..].allclose(after[.., 3..]));
    }

    [Fact]
    public void Knows_nothing_before_training()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt(Settings);
        var logits = model.call(randint(0, 50, [4, 8], dtype: ScalarType.Int64));
        var loss = Gpt.Loss(logits, randint(0, 50, [4, 8], dtype: ScalarType.Int64)).item<float>();
        Assert.Equal(Math.Log(50), loss, 0.1);
    }

    [Fact]
    public void Every_parameter_gets_a_gradient()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt(Settings);
        var tokens = randint(0, 50, [4, 8], dtype: ScalarType.Int64);
        Gpt.Loss(model.call(tokens), tokens).backward();
        Assert.All(
            model.named_parameters(),
            entry => Assert.True(entry.parameter.grad is { } gradient && gradient.abs().sum().item<float>() > 0, entry.name));
    }
}
