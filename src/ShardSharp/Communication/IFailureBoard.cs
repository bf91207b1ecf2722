namespace ShardSharp.Communication;

/// <summary>Where the ranks of a run tell each other that one of them has failed.</summary>
internal interface IFailureBoard
{
    /// <summary>The first failure of the run that this rank knows of; null while all is well.</summary>
    string? FirstFailure { get; }

    /// <summary>Whether another rank than this object's was the first to report a failure.</summary>
    bool OtherFailedFirst { get; }

    /// <summary>Reports a failure to all ranks; only the first one is kept.</summary>
    void Fail(string message);

    /// <summary>Reports that communication between the ranks broke, and has it explained where it can be; only the first failure is kept.</summary>
    void Break(string message);

    /// <summary>Why a rank will never answer again, in words that follow its number; null while it may.</summary>
    string? WhyGone(int globalRank);
}
