namespace ShardSharp.Communication;

/// <summary>A communication operation that runs in the background.</summary>
/// <remarks>The operation keeps its tensors alive by itself; their contents are undefined until it has completed.</remarks>
public sealed class Work
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal Work()
    {
    }

    /// <summary>Whether the operation has ended, well or not.</summary>
    public bool IsCompleted => _completion.Task.IsCompleted;

    /// <summary>The operation as a task, to await it or combine it with others.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Blocks until the operation has completed.</summary>
    /// <exception cref="CommunicationException">It failed; the exception is the one that the blocking operation would throw.</exception>
    public void Wait() => _completion.Task.GetAwaiter().GetResult();

    internal void Run(Action operation)
    {
        try
        {
            operation();
            _completion.SetResult();
        }
        catch (Exception failure)
        {
            _completion.SetException(failure);

            // Whoever waits sees the failure; a handle that nobody waits for must not end the process from the finalizer thread.
            _ = _completion.Task.Exception;
        }
    }
}
