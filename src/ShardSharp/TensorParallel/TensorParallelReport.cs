using System.Text;

namespace ShardSharp.TensorParallel;

/// <summary>What tensor parallelism has made of a model: which modules are spread over ranks, and which are left alone and why.</summary>
public sealed class TensorParallelReport
{
    internal TensorParallelReport(
        IReadOnlyList<(string Module, string Style)> spread, IReadOnlyList<(string Module, string Reason)> leftAlone, string? sequenceProblem = null) =>
        (Spread, LeftAlone, SequenceProblem) = (spread, leftAlone, sequenceProblem);

    /// <summary>Modules that a style was applied to, with what it does.</summary>
    public IReadOnlyList<(string Module, string Style)> Spread { get; }

    /// <summary>Modules with parameters of their own that every rank holds whole, with the reason.</summary>
    public IReadOnlyList<(string Module, string Reason)> LeftAlone { get; }

    /// <summary>Why an automatic plan leaves sequences whole between divided layers; null if it could divide them, and for other plans.</summary>
    public string? SequenceProblem { get; }

    /// <summary>The report as text, one module a line.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var (module, style) in Spread)
            text.Append(module).Append(": ").AppendLine(style);
        foreach (var (module, reason) in LeftAlone)
            text.Append(module).Append(": left alone, ").AppendLine(reason);
        if (SequenceProblem is not null)
            text.Append("sequences are left whole: ").AppendLine(SequenceProblem);
        return text.ToString();
    }
}
