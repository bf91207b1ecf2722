using System.Runtime.ExceptionServices;
using ShardSharp.Communication;

namespace ShardSharp.Checkpoints;

/// <summary>Writes a checkpoint on a thread of its own, and keeps what came of it until somebody asks.</summary>
internal sealed class BackgroundSave
{
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    /// <param name="save">The checkpoint, with values of its own.</param>
    /// <param name="group">All ranks; nothing else uses it meanwhile.</param>
    public BackgroundSave(CheckpointSave save, ProcessGroup group)
    {
        Path = save.Path;
        _thread = new Thread(() => Run(save, group)) { Name = "checkpoint", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Where the checkpoint will be.</summary>
    public string Path { get; }

    /// <summary>Waits until it is written, and throws if it could not be.</summary>
    public void Finish()
    {
        _thread.Join();
        _failure?.Throw();
    }

    /// <summary>Waits until it is written.</summary>
    /// <returns>What went wrong; null if nothing did.</returns>
    public Exception? Wait()
    {
        _thread.Join();
        return _failure?.SourceException;
    }

    private void Run(CheckpointSave save, ProcessGroup group)
    {
        try
        {
            save.Write(group);
        }
        catch (Exception failure)
        {
            _failure = ExceptionDispatchInfo.Capture(failure);
        }
    }
}
