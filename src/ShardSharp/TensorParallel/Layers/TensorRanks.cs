using ShardSharp.Communication;
using ShardSharp.Topology;

namespace ShardSharp.TensorParallel.Layers;

/// <summary>The ranks that share distributed modules, and how they do it.</summary>
/// <param name="Group">The ranks of one tensor-parallel group.</param>
public sealed record TensorRanks(ProcessGroup Group)
{
    /// <summary>
    /// Whether all ranks of the group call modules with the same batch. Otherwise each has samples of its own, as many as the others:
    /// modules exchange them, so that a rank computes its part of the layer for the samples of all, and give each rank its own ones back.
    /// </summary>
    /// <value>Default <c>false</c>.</value>
    public bool PrescaledBatch { get; init; }

    /// <summary>
    /// <see cref="OptimizationGoal.Memory"/> divides what lies between the layers of a transformer along the hidden dimension, so that no
    /// activation is held twice; <see cref="OptimizationGoal.Speed"/> communicates half as often, and norms and residuals are not divided.
    /// </summary>
    /// <value>Default <see cref="OptimizationGoal.Memory"/>.</value>
    public OptimizationGoal Optimize { get; init; } = OptimizationGoal.Memory;

    /// <summary>How many ranks there are.</summary>
    internal int Size => Group.Size;

    /// <summary>Refuses sizes that the ranks do not divide.</summary>
    /// <param name="module">What has the sizes, for the error.</param>
    /// <param name="sizes">The sizes and what they are called.</param>
    /// <exception cref="TensorParallelException">A size is not divided; the message lists the degrees that divide all.</exception>
    internal void RequireDivided(string module, params ReadOnlySpan<(string Name, long Size)> sizes)
    {
        (string Name, long Size)[] all = [.. sizes];
        if (all.Where(each => each.Size % Size != 0).Select(each => $"{each.Name} {each.Size}").ToArray() is not { Length: > 0 } refused)
            return;
        var degrees = Enumerable.Range(1, (int)all.Min(each => each.Size)).Where(degree => all.All(each => each.Size % degree == 0));
        throw new TensorParallelException(
            $"{module} cannot be shared by {Size} ranks, which do not divide {string.Join(" and ", refused)}. Tensor-parallel degrees that work: "
            + $"{string.Join(", ", degrees)}.");
    }
}
