namespace ShardSharp.Communication;

/// <summary>How far a recorded call has come.</summary>
public enum FlightState
{
    /// <summary>It has started and not ended.</summary>
    Running,

    /// <summary>It ended well.</summary>
    Completed,

    /// <summary>It threw.</summary>
    Failed,
}
