using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>The tensors in what modules take and return.</summary>
internal static class TensorParts
{
    private const BindingFlags OwnFields = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <summary>Replaces every tensor in a tensor, tuple, record, structure, array, list or dictionary, and in those nested in them.</summary>
    /// <param name="value">The value; what it holds is not changed.</param>
    /// <param name="replace">What to put in place of a tensor.</param>
    /// <param name="complete">Set to false where the value may hold tensors that cannot be replaced, as another class may.</param>
    /// <returns>A value of the same type.</returns>
    public static object? Replace(object? value, Func<Tensor, Tensor> replace, ref bool complete)
    {
        switch (value)
        {
            case null or string:
                return value;
            case Tensor tensor:
                return replace(tensor);
            case ITuple { Length: < 8 } tuple:
                var items = new object?[tuple.Length];
                for (var i = 0; i < items.Length; i++)
                    items[i] = Replace(tuple[i], replace, ref complete);
                return Activator.CreateInstance(value.GetType(), items);
            case Array { Rank: 1 } array:
                return ReplaceIn(array, replace, ref complete);
            case IList list when IsA(value, typeof(List<>)):
                var copy = (IList)Activator.CreateInstance(value.GetType(), list.Count)!;
                foreach (var item in list)
                    copy.Add(Replace(item, replace, ref complete));
                return copy;
            case IDictionary named when IsA(value, typeof(Dictionary<,>)):
                var entries = (IDictionary)Activator.CreateInstance(value.GetType(), value)!;
                foreach (DictionaryEntry entry in named)
                    entries[entry.Key] = Replace(entry.Value, replace, ref complete);
                return entries;
        }

        var type = value.GetType();
        if (type.IsPrimitive || type.IsEnum)
            return value;
        if (type.IsValueType)
            return ReplaceFields(RuntimeHelpers.GetObjectValue(value), type, replace, ref complete);
        if (type.GetMethod("<Clone>$") is { } clone)
            return ReplaceFields(clone.Invoke(value, null)!, type, replace, ref complete);
        complete = false;
        return value;
    }

    /// <summary>The tensors of a value, in the order in which <see cref="Replace"/> comes to them.</summary>
    /// <param name="value">The value.</param>
    /// <param name="complete">As in <see cref="Replace"/>.</param>
    public static List<Tensor> Of(object? value, out bool complete)
    {
        var tensors = new List<Tensor>();
        complete = true;
        Replace(value, tensor => { tensors.Add(tensor); return tensor; }, ref complete);
        return tensors;
    }

    private static Array ReplaceIn(Array array, Func<Tensor, Tensor> replace, ref bool complete)
    {
        var type = array.GetType().GetElementType()!;
        if (type.IsPrimitive || type.IsEnum)
            return array;
        var copy = Array.CreateInstance(type, array.Length);
        for (var i = 0; i < array.Length; i++)
            copy.SetValue(Replace(array.GetValue(i), replace, ref complete), i);
        return copy;
    }

    /// <summary>Of records and structures the fields can be set on a copy that nobody else has seen.</summary>
    private static object ReplaceFields(object copy, Type type, Func<Tensor, Tensor> replace, ref bool complete)
    {
        for (var declaring = type; declaring is not null && declaring != typeof(object); declaring = declaring.BaseType)
        {
            foreach (var field in declaring.GetFields(OwnFields).Where(field => !field.FieldType.IsPrimitive))
            {
                var value = field.GetValue(copy);
                var replaced = Replace(value, replace, ref complete);
                if (!ReferenceEquals(value, replaced))
                    field.SetValue(copy, replaced);
            }
        }

        return copy;
    }

    private static bool IsA(object value, Type definition) =>
        value.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == definition;
}
