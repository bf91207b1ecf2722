using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Modules;

public sealed class ModuleCallTests
{
    [Fact]
    public void Arguments_at_the_end_that_may_be_null_can_be_left_out()
    {
        using var scope = NewDisposeScope();
        using var module = new Masked();
        var call = new ModuleCall(module);
        var (one, two) = (ones(1), ones(2));

        Assert.Equal(["hidden", "cross", "mask"], call.Names);
        Assert.Equal([one, two, null], call.Arguments((one, two)));
        Assert.Equal([one, two, one], call.Arguments(new List<Tensor> { one, two, one }));
        Assert.Contains("called with 3 arguments (Tensor hidden, Tensor cross, Tensor mask); 1 inputs were given", Refusal(one), StringComparison.Ordinal);
        Assert.Contains("4 inputs were given", Refusal((one, one, one, one)), StringComparison.Ordinal);
        Assert.Contains("cross was given a String", Refusal((one, "two")), StringComparison.Ordinal);

        string Refusal(object value) => Assert.Throws<ArgumentException>(() => call.Arguments(value)).Message;
    }

    private sealed class Masked() : nn.Module<Tensor, Tensor, Tensor?, Tensor>(nameof(Masked))
    {
        public override Tensor forward(Tensor hidden, Tensor cross, Tensor? mask) => mask is null ? hidden + cross : hidden + (cross * mask);
    }
}
