using ShardSharp.Communication;
using ShardSharp.Modules;

namespace ShardSharp.TensorParallel.Styles;

/// <summary>Which heads, or single features, of a projection a rank gets.</summary>
internal static class Heads
{
    /// <summary>The features of a rank.</summary>
    /// <param name="name">Name of the module, for errors.</param>
    /// <param name="features">All features.</param>
    /// <param name="headSize">Features that belong together.</param>
    /// <param name="copies">Whether several ranks may hold the same head.</param>
    /// <param name="group">The ranks.</param>
    /// <returns>The features, and how many ranks hold them.</returns>
    /// <exception cref="TensorParallelException">The ranks cannot share the heads.</exception>
    public static (IndexRange Range, int Copies) Of(string name, long features, long headSize, bool copies, ProcessGroup group)
    {
        if (features % headSize != 0)
            throw new TensorParallelException($"Module '{name}' has {features} features, which heads of {headSize} do not divide. Correct headSize of its style.");
        var heads = features / headSize;

        // Single features need not come out even: no computation treats several of them as one.
        if ((headSize == 1 && !copies) || heads % group.Size == 0)
        {
            var own = new Division(heads, group.Size)[group.Rank];
            return (new IndexRange(own.Start * headSize, own.Length * headSize), 1);
        }

        if (!copies || group.Size % heads != 0)
        {
            var degrees = Enumerable.Range(1, (int)Math.Max(heads, group.Size)).Where(degree => heads % degree == 0 || (copies && degree % heads == 0));
            throw new TensorParallelException(
                $"Module '{name}' has {heads} heads of {headSize} features, which {group.Size} ranks cannot share. Tensor-parallel degrees that work: "
                + $"{string.Join(", ", degrees)}.");
        }

        var perHead = (int)(group.Size / heads);
        return (new IndexRange(group.Rank / perHead * headSize, headSize), perHead);
    }
}
