using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    /// <summary>Checks what this rank alone can see to be wrong, before any other rank is involved.</summary>
    private CollectiveCall Validated(
        CollectiveKind kind, in TensorLease output, in TensorLease input, ReduceOperation operation, int root, CallSite site)
    {
        if (root != NoPeer)
            RequireMember(root, nameof(root));
        var holdsAll = root == NoPeer || root == Rank;
        var given = input.Memory.Length > 0 || kind != CollectiveKind.Scatter ? input.ElementType : output.ElementType;
        if (output.Memory.Length > 0 && input.Memory.Length > 0 && input.ElementType != output.ElementType)
            throw new ArgumentException($"{kind}: input is {input.ElementType}, output is {output.ElementType}; they must be the same.");
        var device = output.IsEmpty ? input.Device : output.Device;
        if (!input.IsEmpty && input.Device != device)
        {
            throw new ArgumentException(
                $"{kind}: input is on {TensorLease.Place(input.Device)}, output on {TensorLease.Place(device)}; they must be on the same device.");
        }

        var (large, small) = kind switch
        {
            CollectiveKind.AllGather or CollectiveKind.Gather => (output.Memory.Length, input.Memory.Length),
            CollectiveKind.ReduceScatter or CollectiveKind.Scatter => (input.Memory.Length, output.Memory.Length),
            _ => (output.Memory.Length, input.Memory.Length),
        };
        if (kind == CollectiveKind.AllToAll)
            RequireSharesOf(large, small, given);
        else if (holdsAll && large != small * Size)
            throw new ArgumentException(WrongSize(kind, large, small, given));
        if (kind == CollectiveKind.ReduceScatter)
            ElementTypes.RequireReducible(given, operation);
        return new CollectiveCall(
            kind, given, holdsAll || kind == CollectiveKind.Gather ? input.Memory : default,
            holdsAll || kind == CollectiveKind.Scatter ? output.Memory : default, operation, root, site)
        {
            Shape = input.Shape.Tensors > 0 ? input.Shape : output.Shape,
            Device = device,
        };
    }

    private void RequireSharesOf(long outputBytes, long inputBytes, ScalarType type)
    {
        if (outputBytes != inputBytes || inputBytes / ElementTypes.SizeOf(type) % Size != 0)
        {
            throw new ArgumentException(
                $"AllToAll needs input and output of the same number of elements, divisible by the {Size} ranks of group '{Name}'; given "
                + $"{inputBytes / ElementTypes.SizeOf(type)} and {outputBytes / ElementTypes.SizeOf(type)}.");
        }
    }

    private string WrongSize(CollectiveKind kind, long largeBytes, long smallBytes, ScalarType type)
    {
        var (large, small) = (largeBytes / ElementTypes.SizeOf(type), smallBytes / ElementTypes.SizeOf(type));
        var (full, share) = kind is CollectiveKind.AllGather or CollectiveKind.Gather ? ("output", "input") : ("input", "output");
        return $"{kind} in group '{Name}' of {Size} ranks: {full} has {large} elements, {share} {small}; {full} must have {small * Size}.";
    }
}
