using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Precision;

/// <summary>Casts the floating-point tensors of a value, such as the argument of a module; everything else stays what it is.</summary>
internal static class ValueCast
{
    public static T To<T>(T value, ScalarType type) => (T)CastObject(value, type)!;

    private static object? CastObject(object? value, ScalarType type) => value switch
    {
        Tensor tensor => tensor.is_floating_point() && tensor.dtype != type ? tensor.to_type(type) : tensor,
        Tensor[] tensors => Array.ConvertAll(tensors, tensor => To(tensor, type)),
        List<Tensor> tensors => tensors.ConvertAll(tensor => To(tensor, type)),
        Dictionary<string, Tensor> tensors => tensors.ToDictionary(named => named.Key, named => To(named.Value, type)),
        ITuple tuple and ValueType => Activator.CreateInstance(
            tuple.GetType(), [.. Enumerable.Range(0, tuple.Length).Select(i => CastObject(tuple[i], type))]),
        _ => value,
    };
}
