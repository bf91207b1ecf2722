using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Weights;

/// <summary>
/// The tensors of files that <c>torch.save</c> wrote: <c>pytorch_model.bin</c>, or several with an index. They are all in memory while it is
/// open. No code of theirs runs (<see cref="StateFile"/>).
/// </summary>
internal sealed class PickledFiles : WeightFiles
{
    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);

    /// <param name="folder">The folder.</param>
    /// <param name="name">What the files are called before <c>.bin</c>.</param>
    /// <exception cref="IOException">A file is missing or damaged.</exception>
    public PickledFiles(string folder, string name)
    {
        Path = folder;
        var single = System.IO.Path.Combine(folder, $"{name}.bin");
        try
        {
            string[] files = File.Exists(single) ? [single] : [.. SafetensorsIndex.Read($"{single}.index.json").Values.Distinct().Select(file => System.IO.Path.Combine(folder, file))];
            foreach (var (tensor, value) in files.SelectMany(StateFile.Read))
            {
                if (!_tensors.TryAdd(tensor, value.DetachFromDisposeScope()))
                    throw new CheckpointException(folder, $"two files have a tensor {tensor}.");
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public override string Path { get; }

    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    public override IReadOnlyList<long> ShapeOf(string name) => Find(name).shape;

    public override ScalarType? TypeOf(string name) => Find(name).dtype;

    public override Tensor Read(string name, ScalarType? type) => Find(name).to_type(type ?? Find(name).dtype, copy: true);

    public override void Dispose()
    {
        foreach (var tensor in _tensors.Values)
            tensor.Dispose();
    }

    private Tensor Find(string name) => _tensors.GetValueOrDefault(name) ?? throw new CheckpointException(Path, $"there is no tensor {name}.");
}
