using static TorchSharp.torch;

namespace ShardSharp.Tests.DataParallel;

/// <summary>Random numbers that follow from a seed alone: the generator of the process is shared with tests that run beside this one.</summary>
internal static class Randoms
{
    public static Tensor Normal(int seed, params long[] shape)
    {
        using var generator = new Generator((ulong)seed + 1);
        return randn(shape, generator: generator);
    }

    /// <summary>Gives every parameter values of its own, the same in every module of the same structure.</summary>
    public static TModule Filled<TModule>(TModule module)
        where TModule : nn.Module
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var (index, (_, parameter)) in module.named_parameters().Index())
            parameter.copy_(Normal(1000 + index, parameter.shape) * 0.3);
        return module;
    }
}
