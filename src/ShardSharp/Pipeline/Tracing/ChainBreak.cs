namespace ShardSharp.Pipeline.Tracing;

/// <summary>A module that a pipeline cannot cut, though it calls others.</summary>
/// <param name="Module">The module, as to be called in a sentence.</param>
/// <param name="Reasons">Where it does more than calling.</param>
internal sealed record ChainBreak(string Module, IReadOnlyList<string> Reasons)
{
    /// <summary>What to tell the user.</summary>
    public override string ToString() => $"{Module} stays whole: {string.Join("; ", Reasons)}";

    /// <summary>Why a chain has no more parts than it has, and what to do.</summary>
    public static string Explain(IReadOnlyList<ChainBreak> breaks)
    {
        const int Shown = 5;
        if (breaks.Count == 0)
            return "";
        var lines = breaks.Take(Shown).Select(one => $"{Environment.NewLine}- {one}");
        var more = breaks.Count > Shown ? $"{Environment.NewLine}- and {breaks.Count - Shown} more modules" : "";
        return $"{Environment.NewLine}A module can be cut where all it does is to call others: move other computation between two calls into a module "
            + $"of its own, or list the parts by implementing IPipelineModel.{string.Concat(lines)}{more}";
    }
}
