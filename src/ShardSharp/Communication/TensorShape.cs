using System.Runtime.CompilerServices;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>The shape of what a call communicates, for reports: kept by value, so that reading it allocates nothing.</summary>
internal struct TensorShape
{
    /// <summary>Dimensions that are kept; of more, the first ones.</summary>
    public const int Kept = 6;

    /// <summary>How many tensors travel as one; 0 for memory that is not a tensor.</summary>
    public int Tensors;

    /// <summary>Dimensions of the tensor, where it is one alone.</summary>
    public int Dimensions;

    private Lengths _lengths;

    [InlineArray(Kept)]
    private struct Lengths
    {
        private long _first;
    }

    public static TensorShape Of(Tensor tensor)
    {
        var lengths = TensorMemory.Shape(tensor);
        var shape = new TensorShape { Tensors = 1, Dimensions = lengths.Length };
        for (var i = 0; i < lengths.Length && i < Kept; i++)
            shape._lengths[i] = lengths[i];
        return shape;
    }

    public static TensorShape Of(ReadOnlySpan<Tensor> tensors) => tensors.Length == 1 ? Of(tensors[0]) : new() { Tensors = tensors.Length };

    /// <summary>Length along each dimension that is kept; null where not one tensor travels alone.</summary>
    public readonly IReadOnlyList<long>? Sizes => Tensors == 1 ? ((ReadOnlySpan<long>)_lengths)[..Math.Clamp(Dimensions, 0, Kept)].ToArray() : null;

    /// <summary>What the number of elements does not tell: <c> [32, 768]</c>, <c> in 5 tensors</c>; else empty.</summary>
    public override readonly string ToString() => (Tensors, Dimensions) switch
    {
        ( > 1, _) => $" in {Tensors} tensors",
        (1, >= 2) => $" [{string.Join(", ", Sizes!)}{(Dimensions > Kept ? ", ..." : "")}]",
        _ => "",
    };
}
