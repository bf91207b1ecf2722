using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>What the functions that communicate in forward or backward have in common.</summary>
internal static class RankFunction
{
    /// <summary>Under which names a function's context keeps them.</summary>
    public const string Group = "group", Dimension = "dimension", Total = "total", Alike = "alike";

    /// <summary>Whether autograd has to know of a function of this tensor.</summary>
    public static bool IsRecorded(Tensor tensor) => tensor.requires_grad && is_grad_enabled();

    /// <summary>A result that is known already, or none, as an argument of a function that autograd takes for no input.</summary>
    public static List<Tensor> Known(Tensor? result) => result is null ? [] : [result];

    /// <summary>That result again.</summary>
    public static Tensor? Known(object argument) => ((List<Tensor>)argument).FirstOrDefault();

    /// <summary>
    /// What a function returns. TorchSharp makes another tensor of the same size for each, for the case that no gradient arrives, which lives as
    /// long as the caller's dispose scope: of use to nobody here, and as much memory as the activations themselves.
    /// </summary>
    /// <param name="apply">Applies the function.</param>
    public static Tensor Applied(Func<Tensor> apply)
    {
        using var scope = NewDisposeScope();
        return apply().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Computes a gradient by communicating. After a failure backward goes on with zeros, without communicating, and the group throws what
    /// happened when backward is over.
    /// </summary>
    public static Tensor Gradient(ProcessGroup group, Func<Tensor> compute, Func<Tensor> zeros)
    {
        Tensor? gradient = null;
        return group.TryRun(() => gradient = compute()) ? gradient! : zeros();
    }
}
