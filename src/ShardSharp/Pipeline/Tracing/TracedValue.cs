using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>A tensor that a traced forward passed between modules, as the place it comes from.</summary>
/// <param name="origin">Where it comes from, for people.</param>
internal sealed class TracedValue(string origin)
{
    /// <summary>Its place among the tensors of the microbatch; null if it is none of them.</summary>
    public int? Batch { get; init; }

    /// <summary>The module that has it as a parameter or buffer, and reads it; null if none has.</summary>
    public (nn.Module Holder, Func<Tensor> Read)? Own { get; init; }

    /// <summary>Whether every rank has it without being sent it.</summary>
    public bool IsEverywhere => Batch is not null || Own is not null;

    /// <summary>Where it comes from, for people.</summary>
    public override string ToString() => origin;
}
