using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>What travels before tensors whose number, types and shapes the receiver does not know.</summary>
internal static class TensorListHeader
{
    /// <summary>Numbers of the first message; longer headers have a second one.</summary>
    public const int FirstLength = 64;

    /// <summary>The place of a tensor that is not there.</summary>
    private const long Absent = -1;

    /// <summary>Describes tensors: how many numbers follow, how many tensors, then of each its type, whether it is trained through, and its shape.</summary>
    public static long[] Of(IReadOnlyList<Tensor?> tensors)
    {
        var header = new List<long> { 0, tensors.Count };
        foreach (var tensor in tensors)
        {
            if (tensor is null)
            {
                header.Add(Absent);
                continue;
            }

            header.Add((long)tensor.dtype);
            header.Add(tensor.requires_grad ? 1 : 0);
            header.Add(tensor.dim());
            header.AddRange(tensor.shape);
        }

        header[0] = header.Count;
        while (header.Count < FirstLength)
            header.Add(0);
        return [.. header];
    }

    /// <summary>What a header describes.</summary>
    /// <returns>Type, whether it is trained through, and shape of each tensor; null for one that is not there.</returns>
    public static IReadOnlyList<(ScalarType Type, bool RequiresGradient, long[] Shape)?> Read(ReadOnlySpan<long> header)
    {
        var tensors = new (ScalarType, bool, long[])?[header[1]];
        var at = 2;
        for (var i = 0; i < tensors.Length; i++)
        {
            var type = header[at++];
            if (type == Absent)
                continue;
            var (requiresGradient, dimensions) = (header[at] != 0, (int)header[at + 1]);
            tensors[i] = ((ScalarType)type, requiresGradient, header.Slice(at + 2, dimensions).ToArray());
            at += 2 + dimensions;
        }

        return tensors;
    }
}
