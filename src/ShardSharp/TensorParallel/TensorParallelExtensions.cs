using ShardSharp.Communication;
using ShardSharp.TensorParallel.Automatic;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>Tensor parallelism for any module, without a session.</summary>
public static class TensorParallelExtensions
{
    /// <summary>
    /// Spreads a module over ranks, in place: its parameters become this rank's parts, and its layers communicate where they are called through
    /// <c>call</c>. Every rank calls it.
    /// </summary>
    /// <param name="module">The module, whole and with equal parameters on all ranks.</param>
    /// <param name="plan">Which modules in it are spread, and how.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="example">
    /// What to call the module with to see whether it computes what it does whole; null makes token ids or numbers up where the module takes one
    /// tensor, and no tensors do not try it. Batch first, then the sequence.
    /// </param>
    /// <returns>To be disposed with the module.</returns>
    /// <exception cref="TensorParallelException">The plan does not fit the module; it says where, and what would work.</exception>
    public static TensorParallelModule TensorParallelize(this nn.Module module, TensorParallelPlan plan, ProcessGroup group, Tensor[]? example = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(group);
        var tried = example switch
        {
            null => ModelExample.Of(module, group.Size),
            [] => null,
            _ => [.. example.Select(each => each.alias().DetachFromDisposeScope())],
        };
        var spread = new TensorParallelModule(module, plan, group, tried, isGuess: example is null);
        try
        {
            spread.Activate();
            return spread;
        }
        catch
        {
            spread.Dispose();
            throw;
        }
    }
}
