namespace ShardSharp.Diagnostics;

/// <summary>How much memory something takes on a rank, in bytes.</summary>
/// <param name="Predicted">What shapes, types, degrees and settings imply; null where they do not tell.</param>
/// <param name="Measured">What is there; null where it cannot be measured.</param>
public readonly record struct MemoryFigure(long? Predicted, long? Measured);
