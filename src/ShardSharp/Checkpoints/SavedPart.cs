namespace ShardSharp.Checkpoints;

/// <summary>A part that a rank has written, as it tells the rank that writes the index.</summary>
/// <param name="Key">Name of the part in the rank's file.</param>
/// <param name="Checksums">As an index has them.</param>
internal sealed record SavedPart(string Key, string Checksums);
