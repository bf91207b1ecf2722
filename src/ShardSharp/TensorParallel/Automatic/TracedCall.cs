using ShardSharp.Modules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Automatic;

/// <summary>One call of a module within a forward of the model.</summary>
/// <param name="Name">Name of the module in the model.</param>
/// <param name="Module">The module.</param>
/// <param name="Parent">The call that it was made in; null for the model's own.</param>
/// <param name="Given">What it was called with, as the caller had it: for telling tensors apart, which may be disposed since.</param>
/// <param name="Arguments">The same with tensors of the trace's own.</param>
internal sealed record TracedCall(string Name, nn.Module Module, TracedCall? Parent, object?[] Given, object?[] Arguments)
{
    /// <summary>How many calls it is within.</summary>
    public int Depth { get; } = Parent is null ? 0 : Parent.Depth + 1;

    /// <summary>What it returned, as the caller got it.</summary>
    public object? Returned { get; set; }

    /// <summary>The same with tensors of the trace's own.</summary>
    public object? Result { get; set; }

    /// <summary>Whether it was made in a call, or in one made in that.</summary>
    public bool IsWithin(TracedCall other) => Parent is not null && (Parent == other || Parent.IsWithin(other));

    /// <summary>
    /// Whether it makes a difference to more than its values that a module is called with a part of what it is called with on one rank: it has parameters of
    /// its own, whose gradients are then a part, or it drops elements.
    /// </summary>
    public bool DependsOnWhole => Module.named_parameters(recurse: false).Any() || Module is Dropout { p: > 0 };

    /// <summary>Whether arguments have tensors of the same shapes.</summary>
    public static bool HaveSameShapes(object?[] some, object?[] others) => some.SelectMany(each => TensorParts.Of(each, out _)).Select(tensor => tensor.shape)
        .SequenceEqual(others.SelectMany(each => TensorParts.Of(each, out _)).Select(tensor => tensor.shape), ShapeComparer.Instance);

    private sealed class ShapeComparer : IEqualityComparer<long[]>
    {
        public static ShapeComparer Instance { get; } = new();

        public bool Equals(long[]? one, long[]? other) => one!.SequenceEqual(other!);

        public int GetHashCode(long[] shape) => shape.Length;
    }
}
