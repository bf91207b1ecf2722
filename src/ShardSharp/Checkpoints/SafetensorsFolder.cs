using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>
/// The tensors of a folder as transformers writes it: one file <c>model.safetensors</c>, or several with
/// <c>model.safetensors.index.json</c>.
/// </summary>
public sealed class SafetensorsFolder : IDisposable
{
    private const string Suffix = ".safetensors";
    private const string IndexSuffix = ".safetensors.index.json";

    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);
    private readonly List<SafetensorsFile> _files = [];

    private SafetensorsFolder(string path) => Path = path;

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => _fileOf.Keys;

    /// <summary>Opens the file, or all files of the index, and checks their headers.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="name">What the files are called before <c>.safetensors</c>.</param>
    /// <exception cref="FileNotFoundException">The folder has neither the one file nor the index.</exception>
    /// <exception cref="SafetensorsException">A file or the index is damaged, or an index names a tensor that its file lacks.</exception>
    public static SafetensorsFolder Open(string folder, string name = "model")
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var (single, index) = (System.IO.Path.Combine(folder, name + Suffix), System.IO.Path.Combine(folder, name + IndexSuffix));
        var opened = new SafetensorsFolder(folder);
        try
        {
            if (File.Exists(single))
                opened.Add(single);
            else if (File.Exists(index))
                opened.AddAll(index);
            else
                throw new FileNotFoundException($"{folder} has neither {name}{Suffix} nor {name}{IndexSuffix}.", single);
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    /// <summary>The file that has a tensor.</summary>
    /// <exception cref="SafetensorsException">No file has it.</exception>
    public SafetensorsFile FileOf(string name) => _fileOf.GetValueOrDefault(name)
        ?? throw new SafetensorsException(Path, $"there is no tensor {name}.");

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Contains(string name) => _fileOf.ContainsKey(name);

    /// <summary>
    /// Writes tensors to a folder: to one file, or, where they have more bytes than one may have, to several with an index.
    /// </summary>
    /// <param name="folder">The folder, which must exist.</param>
    /// <param name="tensors">Names and tensors, of any device and layout.</param>
    /// <param name="metadata">What each file says of itself besides.</param>
    /// <param name="largestFile">The most bytes of tensors in a file; a larger tensor has a file of its own.</param>
    /// <param name="name">What the files are to be called before <c>.safetensors</c>.</param>
    public static void Write(
        string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null,
        long largestFile = 5_000_000_000, string name = "model")
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentOutOfRangeException.ThrowIfLessThan(largestFile, 1);
        var parts = Parts(tensors, largestFile);
        if (parts is [var only])
        {
            SafetensorsFile.Write(System.IO.Path.Combine(folder, name + Suffix), only, metadata);
            return;
        }

        var files = new Dictionary<string, string>();
        for (var i = 0; i < parts.Count; i++)
        {
            var file = $"{name}-{i + 1:D5}-of-{parts.Count:D5}{Suffix}";
            SafetensorsFile.Write(System.IO.Path.Combine(folder, file), parts[i], metadata);
            foreach (var (tensor, _) in parts[i])
                files.Add(tensor, file);
        }

        SafetensorsIndex.Write(System.IO.Path.Combine(folder, name + IndexSuffix), files, parts.SelectMany(part => part).Sum(pair => TensorBytes.Of(pair.Value)));
    }

    /// <inheritdoc/>
    public void Dispose() => _files.ForEach(file => file.Dispose());

    private void Add(string path, IEnumerable<string>? names = null)
    {
        var file = SafetensorsFile.Open(path);
        _files.Add(file);
        foreach (var name in names ?? file.Entries.Select(entry => entry.Name))
            _fileOf.Add(file[name].Name, file);
    }

    private void AddAll(string index)
    {
        foreach (var file in SafetensorsIndex.Read(index).GroupBy(entry => entry.Value, entry => entry.Key))
            Add(System.IO.Path.Combine(Path, file.Key), file);
    }

    private static List<List<KeyValuePair<string, Tensor>>> Parts(IEnumerable<KeyValuePair<string, Tensor>> tensors, long largest)
    {
        var parts = new List<List<KeyValuePair<string, Tensor>>> { new() };
        long bytes = 0;
        foreach (var tensor in tensors)
        {
            var more = TensorBytes.Of(tensor.Value);
            if (bytes > 0 && bytes + more > largest)
            {
                parts.Add([]);
                bytes = 0;
            }

            parts[^1].Add(tensor);
            bytes += more;
        }

        return parts;
    }
}
