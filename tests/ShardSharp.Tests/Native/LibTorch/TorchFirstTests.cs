using static TorchSharp.torch;

namespace ShardSharp.Tests.Native;

/// <summary>Uses torch and nothing of ShardSharp, as a program might before it comes to ShardSharp.</summary>
public sealed class TorchFirstTests
{
    [Fact]
    public void Torch_works_before_any_call_of_shardsharp()
    {
        using var sum = ones(2).sum();

        Assert.Equal(2f, sum.item<float>());
    }
}
