namespace ShardSharp.Pipeline.Partitioning;

/// <summary>Consecutive layers that one rank runs.</summary>
/// <param name="First">Index of the first layer.</param>
/// <param name="Count">Number of layers.</param>
/// <param name="Cost">Its part of the model's cost, 0 to 1.</param>
/// <param name="Time">Time of forward and backward for one microbatch.</param>
/// <param name="Bytes">Bytes of parameters and activations.</param>
public readonly record struct PipelineStage(int First, int Count, double Cost, double Time, long Bytes);
