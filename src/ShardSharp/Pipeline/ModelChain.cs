namespace ShardSharp.Pipeline;

/// <summary>A model as a chain of parts, between any two of which a pipeline may cut it.</summary>
/// <param name="Parts">The parts, in the order in which forward runs them.</param>
internal sealed record ModelChain(IReadOnlyList<ChainPart> Parts);
