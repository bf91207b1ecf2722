namespace ShardSharp.Pipeline;

/// <summary>
/// A module whose call is some consecutive parts of a chain and nothing else. A stage that has all of them calls the module itself, so that what was
/// put on the module, such as activation checkpointing, counts.
/// </summary>
/// <param name="First">Its first part.</param>
/// <param name="Count">How many they are.</param>
/// <param name="Part">The call of the module, in their place.</param>
internal sealed record CompositePart(int First, int Count, ChainPart Part);
