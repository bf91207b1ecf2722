namespace ShardSharp.Communication;

/// <summary>Communication between ranks failed; the group cannot be used any more.</summary>
public class CommunicationException : Exception
{
    /// <param name="message">What failed, on which rank, and what would help.</param>
    /// <param name="innerException">The cause, where there is one.</param>
    public CommunicationException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}

/// <summary>Ranks of a group called different operations, or the same one with different arguments.</summary>
/// <param name="message">What each rank called, and where.</param>
public sealed class CollectiveMismatchException(string message) : CommunicationException(message);

/// <summary>Another rank of the run threw, exited or was killed, so an operation with it can never finish.</summary>
/// <param name="message">Which rank ended, how, and what this rank was waiting for.</param>
public sealed class RankFailedException(string message) : CommunicationException(message);

/// <summary>A rank waited for others past the deadline of the run (<c>collective_timeout_seconds</c>).</summary>
/// <param name="message">Which rank waits for whom, in which operation, at which call site.</param>
public sealed class CollectiveTimeoutException(string message) : CommunicationException(message);
