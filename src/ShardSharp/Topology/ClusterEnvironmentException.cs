namespace ShardSharp.Topology;

/// <summary>The environment variables of a launcher are incomplete or contradict each other; the message names them.</summary>
public sealed class ClusterEnvironmentException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">Which variables are wrong, and what would be right.</param>
    public ClusterEnvironmentException(string message)
        : base(message)
    {
    }
}
