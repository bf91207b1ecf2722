using System.Reflection;
using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Diagnostics;

/// <summary>Measures what an optimizer keeps besides its parameters.</summary>
internal static class OptimizerStateSize
{
    /// <summary>Bytes of the tensors in the states of the optimizer's parameters; null for an optimizer that does not show them.</summary>
    public static long? Of(optim.Optimizer optimizer) =>
        optimizer is OptimizerHelper helper ? helper.state_dict().State.Sum(BytesOf) : null;

    /// <summary>Each optimizer of TorchSharp has a class for its states, with a field for each tensor.</summary>
    private static long BytesOf(OptimizerState state) => state.GetType()
        .GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        .Select(field => field.GetValue(state))
        .OfType<Tensor>()
        .Sum(TensorBytes.Of);
}
