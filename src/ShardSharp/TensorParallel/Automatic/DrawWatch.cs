using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>
/// Refuses random numbers that a module draws in its own code where ranks have different values, at the moment at which it does: for models that could not
/// be tried, such as stages of a pipeline.
/// </summary>
internal sealed class DrawWatch : IDisposable
{
    private readonly DrawHooks _hooks;

    /// <param name="root">The model.</param>
    /// <param name="context">How it is divided.</param>
    public DrawWatch(nn.Module root, TensorParallelContext context)
    {
        var rule = new DrawRule(context);
        _hooks = new DrawHooks(root, (moment, name) =>
        {
            if (!context.IsSuspended && rule.Next(moment, name) is { } problem)
                throw new TensorParallelException(problem);
        });
    }

    public void Dispose() => _hooks.Dispose();
}
