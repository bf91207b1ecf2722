using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>Where the inputs of a region wait for backward.</summary>
/// <param name="Saved">For each input what autograd keeps: itself or a copy; nothing where it waits in pinned memory.</param>
/// <param name="Pinned">For each input where it waits in pinned memory; null for the others.</param>
internal sealed record OffloadedInputs(List<Tensor> Saved, PinnedTensor?[] Pinned);
