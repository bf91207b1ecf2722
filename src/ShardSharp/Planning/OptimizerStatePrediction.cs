using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Planning;

/// <summary>What an optimizer keeps besides its parameters, from its kind and its options.</summary>
internal static class OptimizerStatePrediction
{
    /// <summary>Bytes; null for a kind that is not known here.</summary>
    /// <param name="optimizer">An optimizer over what this rank updates.</param>
    public static long? Of(optim.Optimizer optimizer) =>
        TensorsPerParameter(optimizer) is { } tensors ? tensors * optimizer.parameters().Sum(TensorBytes.Of) : null;

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
}
