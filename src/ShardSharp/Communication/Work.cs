namespace ShardSharp.Communication;

/// <summary>A communication operation that runs in the background.</summary>
/// <remarks>
/// <para>The operation keeps its tensors alive by itself; their contents are undefined until it has completed.</para>
/// <para>Of an operation that NCCL does on a GPU, <see cref="Wait"/> blocks the GPU and not the program: it returns at once, and what the
/// calling thread queues on the GPU afterwards sees the result. <see cref="Completion"/> tells when the GPU is done.</para>
/// </remarks>
public sealed class Work
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action? _wait;

    /// <param name="wait">How to wait for it; null to block until it is complete.</param>
    internal Work(Action? wait = null) => _wait = wait;

    /// <summary>Whether the operation has ended, well or not.</summary>
    public bool IsCompleted => _completion.Task.IsCompleted;

    /// <summary>The operation as a task, to await it or combine it with others.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Blocks until the operation has completed; see the remarks for GPUs.</summary>
    /// <exception cref="CommunicationException">It failed; the exception is the one that the blocking operation would throw.</exception>
    public void Wait()
    {
        if (_wait is null)
            _completion.Task.GetAwaiter().GetResult();
        else
            _wait();
    }

    internal void Run(Action operation)
    {
        try
        {
            operation();
            Complete();
        }
        catch (Exception failure)
        {
            Fail(failure);
        }
    }

    internal void Complete() => _completion.SetResult();

    internal void Fail(Exception failure)
    {
        _completion.SetException(failure);

        // Whoever waits sees the failure; a handle that nobody waits for must not end the process from the finalizer thread.
        _ = _completion.Task.Exception;
    }
}
