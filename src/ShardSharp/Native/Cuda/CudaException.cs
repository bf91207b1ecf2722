namespace ShardSharp.Native;

/// <summary>The CUDA driver, or libtorch's part for CUDA, reported an error.</summary>
/// <param name="message">Which function, and what the driver says.</param>
internal sealed class CudaException(string message) : Exception(message);
