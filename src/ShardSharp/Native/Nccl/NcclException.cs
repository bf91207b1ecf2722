namespace ShardSharp.Native;

/// <summary>A function of NCCL reported an error.</summary>
/// <param name="message">Which function, and what the library says.</param>
internal sealed class NcclException(string message) : Exception(message);
