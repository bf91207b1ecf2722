using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>The weights that models take over: those of a checkpoint, or what a program made of them.</summary>
internal abstract class WeightSource
{
    /// <summary>The names of all tensors.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>Those of a checkpoint.</summary>
    public static WeightSource Of(CheckpointReader reader) => new Stored(reader);

    /// <summary>Tensors that are in memory.</summary>
    /// <param name="path">Where they are from, for messages.</param>
    /// <param name="tensors">Undivided tensors by their names.</param>
    public static WeightSource Of(string path, IReadOnlyDictionary<string, Tensor> tensors) => new InMemory(path, tensors);

    /// <summary>Whether there is a tensor of this name.</summary>
    public abstract bool Has(string name);

    /// <summary>Throws where a tensor has another shape; one that is not there may be missing.</summary>
    /// <exception cref="CheckpointException">The shapes differ.</exception>
    public abstract void RequireShape(string name, IReadOnlyList<long> shape);

    /// <summary>Gives parts their elements.</summary>
    /// <param name="wanted">Parts of tensors that are there.</param>
    /// <param name="threads">How many threads read.</param>
    public abstract void Load(IEnumerable<HeldTensor> wanted, int threads);

    private sealed class Stored(CheckpointReader reader) : WeightSource
    {
        public override IEnumerable<string> Names => reader.Index.Tensors.Select(tensor => tensor.Name);

        public override bool Has(string name) => reader.Find(name) is not null;

        public override void RequireShape(string name, IReadOnlyList<long> shape) => reader.RequireShape(name, shape);

        public override void Load(IEnumerable<HeldTensor> wanted, int threads) => TensorReads.Run(reader, wanted, threads);
    }

    private sealed class InMemory(string path, IReadOnlyDictionary<string, Tensor> tensors) : WeightSource
    {
        public override IEnumerable<string> Names => tensors.Keys;

        public override bool Has(string name) => tensors.ContainsKey(name);

        public override void RequireShape(string name, IReadOnlyList<long> shape)
        {
            if (tensors.TryGetValue(name, out var tensor) && !tensor.shape.SequenceEqual(shape))
            {
                throw new CheckpointException(
                    path, $"tensor {name} was translated to shape [{string.Join(", ", tensor.shape)}], and the program's has [{string.Join(", ", shape)}].");
            }
        }

        public override void Load(IEnumerable<HeldTensor> wanted, int threads)
        {
            using var unrecorded = no_grad();
            foreach (var tensor in wanted)
                TensorSlices.Copy(tensors[tensor.Name], tensor);
        }
    }
}
