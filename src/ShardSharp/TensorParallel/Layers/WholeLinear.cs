using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>The undivided linear layer that parts are taken of.</summary>
internal static class WholeLinear
{
    public static Linear Create(long inputs, long outputs, DistributedTransformerOptions options)
    {
        var linear = nn.Linear(inputs, outputs);
        if (options.UseNormalInitialization)
        {
            nn.init.normal_(linear.weight!, 0, options.InitializerRange);
            nn.init.zeros_(linear.bias!);
        }

        return linear;
    }
}
