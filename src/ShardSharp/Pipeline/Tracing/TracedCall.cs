using ShardSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Tracing;

/// <summary>A call of a module in a traced forward.</summary>
/// <param name="module">The module.</param>
/// <param name="name">Its name in the model.</param>
internal sealed class TracedCall(nn.Module module, string name)
{
    /// <summary>The module.</summary>
    public nn.Module Module => module;

    /// <summary>Its name in the model; empty for the model itself.</summary>
    public string Name => name;

    /// <summary>The name in quotes, or that it is the model.</summary>
    public string Title => name.Length == 0 ? "the model" : $"'{name}'";

    /// <summary>Its arguments.</summary>
    public required IReadOnlyList<TensorStructure> Takes { get; init; }

    /// <summary>The tensors of all its arguments, in order.</summary>
    public required IReadOnlyList<TracedValue> Inputs { get; init; }

    /// <summary>The first argument that has something beside tensors in it, which no other call returned as it is; null for none.</summary>
    public required string? Foreign { get; init; }

    /// <summary>What it returned.</summary>
    public TensorStructure? Returns { get; set; }

    /// <summary>The tensors of what it returned, in order.</summary>
    public IReadOnlyList<TracedValue> Outputs { get; set; } = [];

    /// <summary>Whether it wrote to a tensor that it was given.</summary>
    public bool ChangesInputs { get; set; }

    /// <summary>The calls that it made itself, in order.</summary>
    public List<TracedCall> Calls { get; } = [];

    /// <summary>It and the calls below it that began before another one below it, in order.</summary>
    public IEnumerable<TracedCall> Before(TracedCall other)
    {
        foreach (var call in Calls)
        {
            if (ReferenceEquals(call, other))
                yield break;
            yield return call;
            foreach (var below in call.Before(other))
                yield return below;
        }
    }
}
