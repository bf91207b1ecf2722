using TorchSharp.Modules;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>A checkpointed region that has computed again for a divided backward.</summary>
/// <param name="Forward">What it computed.</param>
/// <param name="Parameters">The parameters that it gives gradients to, those of regions within it among them.</param>
internal sealed record DividedRegion(SavedForward Forward, IReadOnlyList<Parameter> Parameters);
