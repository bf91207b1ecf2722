using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>Copies between an undivided tensor and a part of it.</summary>
internal static class TensorSlices
{
    /// <summary>Gives a part its elements of the undivided tensor.</summary>
    public static void Copy(Tensor whole, HeldTensor target)
    {
        if (target.Part.Count == 0)
            return;
        using var scope = NewDisposeScope();
        using var layout = LayoutOf(whole, target.Part);
        target.Values.detach().view(-1).copy_(layout.reshape(-1).narrow(0, target.Part.Start, target.Part.Count));
    }

    /// <summary>Gives an undivided tensor the elements of a whole layout.</summary>
    /// <param name="whole">The undivided tensor, contiguous.</param>
    /// <param name="part">Which part; all of its layout.</param>
    /// <param name="values">The elements, one after another.</param>
    public static void Paste(Tensor whole, TensorPart part, Tensor values)
    {
        using var scope = NewDisposeScope();
        if (part.Dimension is not { } dimension)
        {
            whole.view(-1).copy_(values);
            return;
        }

        long[] shape = [.. part.Shape];
        shape[dimension] = part.Ranges.Sum(range => range.Length);
        var (shaped, from) = (values.view(shape), 0L);
        foreach (var range in part.Ranges)
        {
            whole.narrow(dimension, range.Start, range.Length).copy_(shaped.narrow(dimension, from, range.Length));
            from += range.Length;
        }
    }

    private static Tensor LayoutOf(Tensor whole, TensorPart part) => part.Dimension is { } dimension
        ? cat([.. part.Ranges.Select(range => whole.narrow(dimension, range.Start, range.Length))], dimension)
        : whole.alias();
}
