using System.Runtime.ExceptionServices;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    private ExceptionDispatchInfo? _deferred;

    /// <summary>
    /// Runs collectives where no exception can pass, as within backward: between its caller and its callees lie libtorch's frames. The first
    /// failure is kept; from then on nothing is communicated, and <see cref="ThrowDeferred"/> and all collectives throw it.
    /// </summary>
    /// <param name="action">Calls collectives of this group.</param>
    /// <returns>Whether it went well.</returns>
    internal bool TryRun(Action action)
    {
        if (_deferred is not null)
            return false;
        try
        {
            action();
            return true;
        }
        catch (Exception failure)
        {
            _deferred = ExceptionDispatchInfo.Capture(failure);
            return false;
        }
    }

    /// <summary>Throws what failed in <see cref="TryRun"/>; to be called when backward is over.</summary>
    internal void ThrowDeferred() => _deferred?.Throw();
}
