using TorchSharp.Modules;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>Parameters whose gradients a divided backward may compute from a place of its own in the graph.</summary>
/// <param name="Start">Where the backward begins.</param>
/// <param name="Parameters">The parameters.</param>
/// <param name="IsModule">Whether what it passes is one module, rather than a region.</param>
internal sealed record WeightPiece(BackwardStart Start, IReadOnlyList<Parameter> Parameters, bool IsModule);
