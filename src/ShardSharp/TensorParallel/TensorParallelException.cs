namespace ShardSharp.TensorParallel;

/// <summary>A plan of tensor parallelism does not fit the model. The message names the module and what would work.</summary>
public sealed class TensorParallelException : InvalidOperationException
{
    /// <summary>Creates one.</summary>
    public TensorParallelException()
    {
    }

    /// <summary>Creates one.</summary>
    /// <param name="message">What is wrong, where, and what would work.</param>
    public TensorParallelException(string message)
        : base(message)
    {
    }

    /// <summary>Creates one.</summary>
    /// <param name="message">What is wrong, where, and what would work.</param>
    /// <param name="innerException">What failed.</param>
    public TensorParallelException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
