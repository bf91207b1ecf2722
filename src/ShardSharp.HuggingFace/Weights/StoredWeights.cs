using ShardSharp.Checkpoints;
using ShardSharp.HuggingFace.Architectures;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Weights;

/// <summary>The parameters of a model in the files of a folder, by the names the model has for them.</summary>
internal sealed class StoredWeights : IDisposable
{
    private readonly WeightFiles _files;
    private readonly Architecture _architecture;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly bool _isBare;

    /// <exception cref="FileNotFoundException">The folder has no files with parameters.</exception>
    public StoredWeights(string folder, Architecture architecture)
    {
        _files = WeightFiles.Open(folder);
        _architecture = architecture;

        // Files of a model without head leave out the name that it has within the one with head.
        _isBare = !_files.Names.Any(name => name.StartsWith(architecture.Prefix, StringComparison.Ordinal));
    }

    /// <summary>The type of the first parameter.</summary>
    public ScalarType? FirstType => _files.Names.Select(_files.TypeOf).FirstOrDefault(IsFloatingPoint);

    /// <summary>Reads a parameter.</summary>
    /// <param name="name">Its name in the model.</param>
    /// <param name="expected">A tensor of its shape.</param>
    /// <param name="type">The type wanted.</param>
    /// <param name="device">The device wanted.</param>
    /// <exception cref="SafetensorsException">The files lack it, or hold one of another shape.</exception>
    public Parameter Read(string name, Tensor expected, ScalarType type, Device device)
    {
        using var scope = NewDisposeScope();
        var stored = StoredName(name);
        _used.Add(stored);
        var isTransposed = _architecture.IsTransposed(name);
        var shape = isTransposed ? [.. expected.shape.Reverse()] : expected.shape;
        var found = _files.ShapeOf(stored);
        if (!found.SequenceEqual(shape))
        {
            throw new InvalidDataException(
                $"{_files.Path}: tensor {stored} has shape [{string.Join(", ", found)}], "
                + $"and the model of config.json needs [{string.Join(", ", shape)}].");
        }

        var values = _files.Read(stored, type);
        if (isTransposed)
            values = values.t().contiguous();
        return new Parameter(values.to(device).MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Refuses files with tensors that the model has no parameter for: it would compute without them what it was not trained to. A head
    /// that repeats the embedding it is tied to is no such tensor.
    /// </summary>
    /// <exception cref="UnsupportedModelException">There are others, or a head that differs from the embedding.</exception>
    public void RequireAllUsed()
    {
        var others = _files.Names.Where(name => !_used.Contains(name) && !IsExpected(name)).ToList();
        foreach (var (copy, original) in _architecture.Tied.Where(pair => others.Remove(pair.Key)))
            RequireEqual(copy, original);
        if (others.Count > 0)
        {
            throw new UnsupportedModelException(
                $"{_files.Path}: a {_architecture.ClassName} of this config.json has no parameters for {others.Count} tensors in the files: "
                + $"{string.Join(", ", others.Order(StringComparer.Ordinal).Take(5))}{(others.Count > 5 ? ", ..." : "")}.");
        }
    }

    public void Dispose() => _files.Dispose();

    private void RequireEqual(string copy, string original)
    {
        using var scope = NewDisposeScope();
        original = Bare(original);
        if (_files.Read(copy, null).ne(_files.Read(original, null)).any().item<bool>())
        {
            throw new UnsupportedModelException(
                $"{_files.Path}: {copy} differs from {original}, but tie_word_embeddings of config.json says that they are one.");
        }
    }

    /// <summary>The name that these files have for a parameter; the one that is saved if they have none.</summary>
    private string StoredName(string parameter)
    {
        var names = _architecture.StoredNames(parameter).Select(Bare).ToList();
        return names.FirstOrDefault(_files.Contains) ?? names[0];
    }

    private string Bare(string name) => _isBare && name.StartsWith(_architecture.Prefix, StringComparison.Ordinal)
        ? name[_architecture.Prefix.Length..]
        : name;

    private bool IsExpected(string name) =>
        _architecture.ComputedTensors.Any(end => name.EndsWith(end, StringComparison.Ordinal))
        || _architecture.ForeignTensors.Any(start => name.StartsWith(Bare(start), StringComparison.Ordinal));

    private static bool IsFloatingPoint(ScalarType? type) =>
        type is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32 or ScalarType.Float64;
}
