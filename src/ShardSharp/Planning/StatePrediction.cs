using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Planning;

/// <summary>What the state of a model takes on each rank, from its shapes and types, the sharding degree and the kind of optimizer alone.</summary>
internal static class StatePrediction
{
    /// <summary>Bytes of parameters.</summary>
    /// <param name="module">The model, with whole parameters.</param>
    /// <param name="shards">Ranks that share one copy of them.</param>
    public static long Parameters(nn.Module module, int shards) => module.parameters().Sum(BytesOf) / shards;

    /// <summary>Bytes of gradients after a step.</summary>
    /// <inheritdoc cref="Parameters"/>
    public static long Gradients(nn.Module module, int shards) =>
        module.parameters().Where(parameter => parameter.requires_grad).Sum(BytesOf) / shards;

    /// <summary>Bytes of an optimizer's state; null for a kind that is not known here.</summary>
    /// <param name="optimizer">An optimizer over what this rank updates.</param>
    public static long? OptimizerState(optim.Optimizer optimizer) =>
        TensorsPerParameter(optimizer) is { } tensors ? tensors * optimizer.parameters().Sum(BytesOf) : null;

    /// <summary>How many tensors of a parameter's size TorchSharp's optimizers keep for it.</summary>
    private static int? TensorsPerParameter(optim.Optimizer optimizer) => optimizer switch
    {
        Adam => HasAny<Adam.Options>(optimizer, options => options.amsgrad == true) ? 3 : 2,
        AdamW => HasAny<AdamW.Options>(optimizer, options => options.amsgrad == true) ? 3 : 2,
        SGD => HasAny<SGD.Options>(optimizer, options => options.momentum is not (null or 0)) ? 1 : 0,
        Adadelta or Adamax or NAdam or RAdam or Rprop => 2,
        Adagrad or ASGD => 1,
        _ => null,
    };

    private static bool HasAny<TOptions>(optim.Optimizer optimizer, Func<TOptions, bool> condition)
        where TOptions : OptimizerOptions => optimizer.ParamGroups.OfType<ParamGroup<TOptions>>().Any(group => condition(group.Options));

    private static long BytesOf(Tensor tensor) => tensor.numel() * tensor.element_size();
}
