namespace ShardSharp.Pipeline.Runtime;

/// <summary>One message between neighbouring stages.</summary>
/// <param name="Stage">The stage that gets it.</param>
/// <param name="IsGradient">Whether it is the gradients of the stage's outputs; else it is the stage's inputs.</param>
/// <param name="Microbatch">The microbatch.</param>
internal readonly record struct BoundaryKey(int Stage, bool IsGradient, int Microbatch);
