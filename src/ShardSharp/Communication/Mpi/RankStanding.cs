namespace ShardSharp.Communication.Mpi;

/// <summary>How a rank stands to the run; it only ever moves on.</summary>
internal enum RankStanding
{
    /// <summary>Its program runs.</summary>
    Present,

    /// <summary>It has failed, and prints what it knows.</summary>
    Failed,

    /// <summary>It has noticed that communication broke, and asks where the others are.</summary>
    Asking,

    /// <summary>It has failed and printed what it knows.</summary>
    Reported,

    /// <summary>Its program has ended well.</summary>
    Finished,
}
