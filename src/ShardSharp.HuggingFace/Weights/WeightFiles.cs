using ShardSharp.Checkpoints;
using static TorchSharp.torch;

namespace ShardSharp.HuggingFace.Weights;

/// <summary>The tensors of a folder, whichever of the two formats it has.</summary>
internal abstract class WeightFiles : IDisposable
{
    private const string Pickled = "pytorch_model";

    /// <summary>The folder.</summary>
    public abstract string Path { get; }

    /// <summary>The names of all tensors.</summary>
    public abstract IReadOnlyCollection<string> Names { get; }

    /// <exception cref="FileNotFoundException">The folder has neither format.</exception>
    /// <exception cref="IOException">A file is damaged.</exception>
    public static WeightFiles Open(string folder)
    {
        // As transformers does, safetensors first: they are read in parts, and run nothing.
        var isPickled = !File.Exists(System.IO.Path.Combine(folder, "model.safetensors"))
            && !File.Exists(System.IO.Path.Combine(folder, "model.safetensors.index.json"))
            && (File.Exists(System.IO.Path.Combine(folder, $"{Pickled}.bin")) || File.Exists(System.IO.Path.Combine(folder, $"{Pickled}.bin.index.json")));
        return isPickled ? new PickledFiles(folder, Pickled) : new SafetensorsFiles(SafetensorsFolder.Open(folder));
    }

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Contains(string name) => Names.Contains(name);

    /// <summary>Shape of a tensor.</summary>
    /// <exception cref="IOException">There is no such tensor.</exception>
    public abstract IReadOnlyList<long> ShapeOf(string name);

    /// <summary>Element type of a tensor; null for one that TorchSharp lacks.</summary>
    public abstract ScalarType? TypeOf(string name);

    /// <summary>Reads a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="type">The element type wanted; as stored if null.</param>
    public abstract Tensor Read(string name, ScalarType? type);

    public abstract void Dispose();

    private sealed class SafetensorsFiles(SafetensorsFolder files) : WeightFiles
    {
        public override string Path => files.Path;

        public override IReadOnlyCollection<string> Names => files.Names;

        public override IReadOnlyList<long> ShapeOf(string name) => files.FileOf(name)[name].Shape;

        public override ScalarType? TypeOf(string name) => files.FileOf(name)[name].Type;

        public override Tensor Read(string name, ScalarType? type) => files.FileOf(name).Read(name, type);

        public override void Dispose() => files.Dispose();
    }
}
