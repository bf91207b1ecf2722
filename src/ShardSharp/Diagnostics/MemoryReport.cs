using System.Globalization;

namespace ShardSharp.Diagnostics;

/// <summary>Where the memory of a rank goes: what was predicted and what is there, of all models and optimizers of its session.</summary>
/// <remarks>
/// <see cref="Session.MemoryReport"/> makes one. What ranks of one host share counts for each with its share of it. Sizes are in bytes, and
/// in MiB as text.
/// </remarks>
public sealed record MemoryReport
{
    /// <summary>World rank of the rank.</summary>
    public required int Rank { get; init; }

    /// <summary>Parameters that this rank holds.</summary>
    public required MemoryFigure Parameters { get; init; }

    /// <summary>Gradients; predicted is what there is between a step and <c>zero_grad</c>, measured what there is at the moment.</summary>
    public required MemoryFigure Gradients { get; init; }

    /// <summary>What optimizers keep for each parameter, such as Adam's moments.</summary>
    public required MemoryFigure OptimizerState { get; init; }

    /// <summary>
    /// What the latest step took for a time: activations, temporaries, and gradients before they were sharded. It depends on the model's
    /// code, so it is measured only: by tensors of at least 64 KiB, where ShardSharp's allocator is in use. Ranks that are threads of one
    /// process add up.
    /// </summary>
    public required MemoryFigure Activations { get; init; }

    /// <summary>
    /// Memory through which ranks exchange data. Predicted is the most that collectives use; measured is all shared memory but parameters,
    /// where ranks are processes.
    /// </summary>
    public required MemoryFigure CommunicationBuffers { get; init; }

    /// <summary>
    /// The proportional set size of the process now: all of its memory, each page divided by the number of processes that have it. Null
    /// outside of Linux.
    /// </summary>
    public required long? ProportionalSet { get; init; }

    /// <summary>What the C library's heap keeps without anyone using it, for the next step. Null outside of Linux.</summary>
    public required long? FreeHeap { get; init; }

    private IEnumerable<(string Name, MemoryFigure Figure)> Lines =>
    [
        ("parameters", Parameters),
        ("gradients", Gradients),
        ("optimizer state", OptimizerState),
        ("activations", Activations),
        ("communication buffers", CommunicationBuffers),
        ("process", new MemoryFigure(Predicted: null, ProportionalSet)),
        ("- of it free heap", new MemoryFigure(Predicted: null, FreeHeap)),
    ];

    /// <summary>What was measured, in one line.</summary>
    public string ToLine() =>
        $"memory of rank {Rank} in MiB: {string.Join(", ", Lines.Select(line => $"{line.Name.TrimStart('-', ' ')} {Megabytes(line.Figure.Measured)}"))}";

    /// <summary>A table with a line for each category.</summary>
    public override string ToString() => string.Join(
        Environment.NewLine,
        Lines.Select(line => Row(line.Name, Megabytes(line.Figure.Predicted), Megabytes(line.Figure.Measured)))
            .Prepend(Row($"memory of rank {Rank} in MiB", "predicted", "measured")));

    private static string Row(string name, string predicted, string measured) => $"{name,-28}{predicted,12}{measured,12}";

    private static string Megabytes(long? bytes) =>
        bytes is { } known ? (known / (1024.0 * 1024)).ToString("F1", CultureInfo.InvariantCulture) : "-";
}
