using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>The tensors of some values, and how to put such values together of other tensors.</summary>
internal sealed class StructuredTensors
{
    private readonly TensorStructure[] _structures;

    /// <param name="values">Values of tensors, tuples, records, structs, arrays, lists and dictionaries, nested in any way, each with its name.</param>
    /// <exception cref="ArgumentException">An object in a value may have tensors that nobody knows of.</exception>
    public StructuredTensors(IEnumerable<(string Name, object? Value)> values)
    {
        var (named, tensors) = (values.ToArray(), new List<Tensor>());
        _structures = [.. named.Select(each => TensorStructure.Of(each.Value, tensors))];
        Tensors = tensors;
        Names = [.. named.Zip(_structures).SelectMany(pair => pair.Second.Paths(pair.First.Name))];
        foreach (var (name, structure) in named.Zip(_structures, (each, structure) => (each.Name, structure)))
        {
            if (structure.Unknown is { } unknown)
            {
                throw new ArgumentException(
                    $"'{name}' has {unknown} in it, whose tensors are not known. Use tensors, tuples, records, structs, arrays, lists and dictionaries.",
                    nameof(values));
            }
        }
    }

    /// <summary>The tensors, in order.</summary>
    public IReadOnlyList<Tensor> Tensors { get; }

    /// <summary>What each is called: the name of its value, and members, keys and indexes on the way to it.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>How each value is put together.</summary>
    public IReadOnlyList<TensorStructure> Structures => _structures;

    /// <summary>The values with other tensors.</summary>
    public object?[] Build(IReadOnlyList<Tensor> tensors)
    {
        var next = 0;
        return [.. _structures.Select(structure => structure.Build(Rest()))];

        IEnumerable<Tensor> Rest()
        {
            while (next < tensors.Count)
                yield return tensors[next++];
        }
    }
}
