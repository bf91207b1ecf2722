using System.Collections;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>The tensors in what modules take and return.</summary>
internal static class TensorParts
{
    /// <summary>Replaces every tensor in a tensor, tuple, array, list or dictionary, and in those nested in them.</summary>
    /// <param name="value">The value; what it holds is not changed.</param>
    /// <param name="replace">What to put in place of a tensor.</param>
    /// <param name="complete">Set to false where the value may hold tensors that cannot be replaced, as a record may.</param>
    /// <returns>A value of the same type.</returns>
    public static object? Replace(object? value, Func<Tensor, Tensor> replace, ref bool complete)
    {
        switch (value)
        {
            case null or string or ValueType and not ITuple:
                return value;
            case Tensor tensor:
                return replace(tensor);
            case ITuple { Length: < 8 } tuple:
                var items = new object?[tuple.Length];
                for (var i = 0; i < items.Length; i++)
                    items[i] = Replace(tuple[i], replace, ref complete);
                return Activator.CreateInstance(value.GetType(), items);
            case IList { IsReadOnly: false } list when value is Tensor[] or List<Tensor>:
                IList copy = value is Tensor[] ? new Tensor[list.Count] : new List<Tensor>(list.Cast<Tensor>());
                for (var i = 0; i < list.Count; i++)
                    copy[i] = Replace(list[i], replace, ref complete);
                return copy;
            case Dictionary<string, Tensor> named:
                return named.ToDictionary(entry => entry.Key, entry => replace(entry.Value), named.Comparer);
            default:
                complete = false;
                return value;
        }
    }
}
