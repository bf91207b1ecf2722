using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Checkpoints;

/// <summary>Puts undivided tensors together from what ranks have of them.</summary>
internal static class TensorGathering
{
    /// <param name="group">All ranks; each calls it.</param>
    /// <param name="held">What this rank has.</param>
    /// <param name="firstOnly">Whether the first rank alone gets the tensors.</param>
    /// <returns>New CPU tensors, the caller's.</returns>
    public static IReadOnlyDictionary<string, Tensor> Gather(ProcessGroup group, IReadOnlyList<HeldTensor> held, bool firstOnly)
    {
        var descriptions = group.AllGatherObject(held.Select(tensor => HeldPart.Of(tensor.Name, tensor.TypeName, tensor.Part)).ToArray());
        var plan = SavePlan.Create(descriptions, smallestPiece: long.MaxValue);
        var gathered = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        var receives = !firstOnly || group.Rank == 0;
        foreach (var tensor in plan.GroupBy(part => part.Name, StringComparer.Ordinal))
        {
            using var scope = NewDisposeScope();
            var type = SafetensorsType.TypeOf(tensor.First().Type)!.Value;
            var whole = receives ? empty([.. tensor.First().Part.Shape], dtype: type) : null;
            foreach (var layout in tensor.GroupBy(part => part.Part.Layout, StringComparer.Ordinal))
            {
                var values = receives ? empty(layout.First().Part.LayoutElements, dtype: type) : null;
                foreach (var part in layout)
                    Exchange(group, part, held, values, firstOnly);
                if (whole is not null)
                    TensorSlices.Paste(whole, layout.First().Part, values!);
            }

            if (whole is not null)
                gathered.Add(tensor.Key, whole.MoveToOuterDisposeScope());
        }

        return gathered;
    }

    private static void Exchange(ProcessGroup group, PlannedPart part, IEnumerable<HeldTensor> held, Tensor? values, bool firstOnly)
    {
        var target = values?.narrow(0, part.Part.Start, part.Part.Count);
        if (part.Rank == group.Rank)
        {
            var source = held.First(tensor => tensor.Name == part.Name && tensor.Part.Layout == part.Part.Layout
                && tensor.Part.Start <= part.Part.Start && tensor.Part.End >= part.Part.End).Slice(part.Part).cpu().reshape(-1);
            if (target is null)
                group.Send(source, 0);
            else
                target.copy_(source);
        }

        if (firstOnly && group.Rank == 0 && part.Rank != 0)
            group.Receive(target!, part.Rank);
        else if (!firstOnly)
            group.Broadcast(target!, part.Rank);
    }
}
