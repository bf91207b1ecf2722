using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>What a value that modules or steps pass consists of: tensors, and how they are put together to it.</summary>
internal abstract record TensorStructure
{
    private static readonly MethodInfo ShallowCopy = typeof(object).GetMethod("MemberwiseClone", BindingFlags.Instance | BindingFlags.NonPublic)!;

    /// <summary>Takes a value apart: a tensor, or a tuple, record, struct, array, list or dictionary, and those nested in them.</summary>
    /// <param name="value">The value, which is not changed.</param>
    /// <param name="tensors">Gets its tensors, in order.</param>
    public static TensorStructure Of(object? value, List<Tensor> tensors)
    {
        switch (value)
        {
            case null or string:
                return new Constant(value);
            case Tensor tensor:
                tensors.Add(tensor);
                return new Slot();
            case ITuple { Length: < 8 } tuple:
                return new Group(
                    value.GetType(), [.. Enumerable.Range(1, tuple.Length).Select(i => $"Item{i}")],
                    [.. Enumerable.Range(0, tuple.Length).Select(i => Of(tuple[i], tensors))], (type, items) => Activator.CreateInstance(type, items)!);
            case Array { Rank: 1 } array:
                return new Group(value.GetType(), Indexes(array), [.. array.Cast<object?>().Select(item => Of(item, tensors))], MakeArray);
            case IList list when IsA(value, typeof(List<>)):
                return new Group(value.GetType(), Indexes(list), [.. list.Cast<object?>().Select(item => Of(item, tensors))], MakeList);
            case IDictionary named when IsA(value, typeof(Dictionary<,>)):
                var keys = named.Keys.Cast<object>().ToArray();
                return new Group(value.GetType(), [.. keys.Select(key => $"{key}")], [.. keys.Select(key => Of(named[key], tensors))],
                    (type, items) => MakeDictionary(type, keys, items));
            default:
                return OfFields(value, tensors);
        }
    }

    /// <summary>The value with other tensors.</summary>
    /// <param name="tensors">As many as it had; each is used in turn.</param>
    public object? Build(IEnumerable<Tensor> tensors)
    {
        using var next = tensors.GetEnumerator();
        return Build(() => next.MoveNext() ? next.Current : throw new ArgumentException("There are fewer tensors than the value had.", nameof(tensors)));
    }

    /// <summary>What is in it beside tensors and null, which a pipeline does not carry; null for nothing.</summary>
    public abstract string? Beside { get; }

    /// <summary>An object in it whose tensors, if it has any, are not known; null for none.</summary>
    public abstract string? Unknown { get; }

    /// <summary>What its tensors are called, in order: members, keys and indexes on the way to each, after a name for the value.</summary>
    public abstract IEnumerable<string> Paths(string name);

    /// <summary>Where another value is put together in another way than this; null for nowhere.</summary>
    public string? DifferenceTo(TensorStructure other) => Difference(other, "");

    private protected abstract object? Build(Func<Tensor> next);

    private protected abstract string? Difference(TensorStructure other, string path);

    private protected string Mismatch(TensorStructure other, string path) => $"{(path.Length == 0 ? "it" : path)} was {this} and is {other}";

    /// <summary>Records and structs, by their fields. What other classes hold is theirs: a copy might not be what they are.</summary>
    private static TensorStructure OfFields(object value, List<Tensor> tensors)
    {
        var type = value.GetType();
        if (type.IsPrimitive || type.IsEnum || !(type.IsValueType || type.GetMethod("<Clone>$") is not null))
            return new Constant(value);
        var fields = new List<FieldInfo>();
        for (var declaring = type; declaring is not null; declaring = declaring.BaseType)
        {
            fields.AddRange(declaring.GetFields(
                BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly));
        }

        var first = tensors.Count;
        var items = fields.Select(field => Of(field.GetValue(value), tensors)).ToArray();
        if (tensors.Count == first && type.IsValueType)
            return new Constant(value);

        // The pattern must not keep the tensors.
        var pattern = ShallowCopy.Invoke(value, null)!;
        foreach (var (field, _) in fields.Zip(items).Where(pair => pair.Second is not Constant && !pair.First.FieldType.IsValueType))
            field.SetValue(pattern, null);
        return new Group(type, [.. fields.Select(ModuleTree.PlainName)], items, (_, built) =>
        {
            var copy = ShallowCopy.Invoke(pattern, null)!;
            foreach (var (field, item) in fields.Zip(built))
                field.SetValue(copy, item);
            return copy;
        });
    }

    private static string[] Indexes(ICollection items) => [.. Enumerable.Range(0, items.Count).Select(i => $"{i}")];

    private static Array MakeArray(Type type, object?[] items)
    {
        var array = Array.CreateInstance(type.GetElementType()!, items.Length);
        items.CopyTo(array, 0);
        return array;
    }

    private static IList MakeList(Type type, object?[] items)
    {
        var list = (IList)Activator.CreateInstance(type)!;
        foreach (var item in items)
            list.Add(item);
        return list;
    }

    private static IDictionary MakeDictionary(Type type, object[] keys, object?[] items)
    {
        var named = (IDictionary)Activator.CreateInstance(type)!;
        foreach (var (key, item) in keys.Zip(items))
            named.Add(key, item);
        return named;
    }

    private static bool IsA(object value, Type definition) => value.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == definition;

    /// <summary>A tensor.</summary>
    private sealed record Slot : TensorStructure
    {
        public override string? Beside => null;

        public override string? Unknown => null;

        public override IEnumerable<string> Paths(string name) => [name];

        public override string ToString() => "a tensor";

        private protected override object Build(Func<Tensor> next) => next();

        private protected override string? Difference(TensorStructure other, string path) => other is Slot ? null : Mismatch(other, path);
    }

    /// <summary>Anything that has no tensors in it, or whose tensors cannot be found.</summary>
    private sealed record Constant(object? Value) : TensorStructure
    {
        public override string? Beside => Value is null ? null : ToString();

        public override string? Unknown => Value is null or string or ValueType ? null : ToString();

        public override IEnumerable<string> Paths(string name) => [];

        public override string ToString() => Value switch
        {
            null => "null",
            string or ValueType => FormattableString.Invariant($"{Value}"),
            _ => $"a {Value.GetType().Name}",
        };

        private protected override object? Build(Func<Tensor> next) => Value;

        private protected override string? Difference(TensorStructure other, string path) =>
            other is Constant constant && Equals(Value, constant.Value) ? null : Mismatch(other, path);
    }

    /// <summary>Several values in one.</summary>
    private sealed record Group(Type Type, string[] Names, TensorStructure[] Items, Func<Type, object?[], object> Make) : TensorStructure
    {
        public override string? Beside => Items.Select(item => item.Beside).FirstOrDefault(beside => beside is not null);

        public override string? Unknown => Items.Select(item => item.Unknown).FirstOrDefault(unknown => unknown is not null);

        public override IEnumerable<string> Paths(string name) => Names.Zip(Items).SelectMany(pair => pair.Second.Paths($"{name}.{pair.First}"));

        public override string ToString() => $"{Type.Name} of {Items.Length}";

        private protected override object Build(Func<Tensor> next) => Make(Type, [.. Items.Select(item => item.Build(next))]);

        private protected override string? Difference(TensorStructure other, string path) =>
            other is not Group group || group.Type != Type || !group.Names.SequenceEqual(Names) ? Mismatch(other, path)
            : Items.Zip(group.Items).Select((pair, i) => pair.First.Difference(pair.Second, $"{path}[{i}]")).FirstOrDefault(found => found is not null);
    }
}
