namespace ShardSharp.Native;

/// <summary>An MPI function reported an error.</summary>
/// <param name="message">Which function, and what the library says.</param>
internal sealed class MpiException(string message) : Exception(message);
