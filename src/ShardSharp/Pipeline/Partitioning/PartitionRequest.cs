using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>How a model is to be cut.</summary>
internal sealed record PartitionRequest
{
    /// <summary>How many stages.</summary>
    public required int Stages { get; init; }

    /// <summary>How much memory counts against time.</summary>
    public double MemoryWeight { get; init; } = 0.8;

    /// <summary>The most bytes of parameters and activations on a stage; null for any number.</summary>
    public long? StageBytes { get; init; }

    /// <summary>Whether parts that share a parameter may be on different stages.</summary>
    public bool SplitTied { get; init; }

    /// <summary>Whether the parameters alone decide, so that the model is not run.</summary>
    public bool SkipTracing { get; init; }

    /// <summary>A partition as <see cref="PipelinePartitionFile"/> writes it, to be used as it is; null for none.</summary>
    public string? Fixed { get; init; }

    /// <summary>What a run before decided, likewise: used as it is where it fits, in place of a decision by cost; null for none.</summary>
    public string? Saved { get; init; }

    /// <summary>What the program decided; null to decide by cost.</summary>
    public ManualPartition? Manual { get; init; }

    /// <summary>Modules that are not to be cut, though all they do is to call others.</summary>
    public IReadOnlySet<nn.Module> Whole { get; init; } = new HashSet<nn.Module>();

    /// <summary>Calls the model with the tensors of a microbatch; null calls it with as many as it takes.</summary>
    public Action<IReadOnlyList<Tensor>>? Forward { get; init; }
}
