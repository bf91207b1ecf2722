namespace ShardSharp.Activations;

/// <summary>How to checkpoint a module.</summary>
/// <param name="PreservesRandomState">Whether it draws the same random numbers when it computes again.</param>
/// <param name="Offloading">Where its inputs wait for backward; null for where they are.</param>
/// <param name="Products">The linear layers in it whose products are kept; null for none.</param>
internal sealed record CheckpointOptions(bool PreservesRandomState, ActivationOffloading? Offloading, KeptProducts? Products);
