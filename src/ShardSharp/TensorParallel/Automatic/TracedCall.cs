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
}
