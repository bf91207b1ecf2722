namespace ShardSharp.Checkpoints;

/// <summary>
/// Who writes what of a checkpoint. Every rank works it out from what all ranks have, and comes to the same. What several ranks have is
/// shared out among them in equal amounts, and every element is written once.
/// </summary>
internal static class SavePlan
{
    /// <summary>A tensor is not cut to make shares equal if one side of the cut would be smaller than this many bytes.</summary>
    public const long SmallestPiece = 64 * 1024;

    /// <param name="held">What each rank has, in rank order; no rank has an element twice.</param>
    /// <param name="smallestPiece">As <see cref="SmallestPiece"/>.</param>
    /// <returns>The parts, tensor by tensor.</returns>
    /// <exception cref="InvalidOperationException">Ranks disagree about a tensor, or some of its elements are nowhere.</exception>
    public static IReadOnlyList<PlannedPart> Create(IReadOnlyList<IReadOnlyList<HeldPart>> held, long smallestPiece = SmallestPiece)
    {
        var shared = new SortedDictionary<string, List<PlannedPart>>(StringComparer.Ordinal);
        var owners = new Dictionary<string, int[]>(StringComparer.Ordinal);
        var all = held.SelectMany((parts, rank) => parts.Select(part => (Rank: rank, Part: part))).Where(entry => entry.Part.Count > 0);
        foreach (var tensor in all.GroupBy(entry => entry.Part.Name, StringComparer.Ordinal).OrderBy(tensor => tensor.Key, StringComparer.Ordinal))
        {
            RequireAgreement(tensor.Key, [.. tensor]);
            foreach (var layout in tensor.Select(entry => (entry.Rank, entry.Part.Type, Part: entry.Part.ToPart())).GroupBy(entry => entry.Part.Layout))
            {
                foreach (var (part, ranks) in Runs([.. layout.Select(entry => (entry.Rank, entry.Part))]))
                {
                    var key = string.Join(",", ranks);
                    owners[key] = ranks;
                    if (!shared.TryGetValue(key, out var parts))
                        shared[key] = parts = [];
                    parts.Add(new PlannedPart(tensor.Key, layout.First().Type, part, ranks[0]));
                }
            }
        }

        var planned = shared.SelectMany(entry => Share(entry.Value, owners[entry.Key], smallestPiece))
            .OrderBy(part => part.Name, StringComparer.Ordinal).ThenBy(part => part.Part.Layout, StringComparer.Ordinal).ThenBy(part => part.Part.Start)
            .ToList();
        RequireComplete(planned);
        return planned;
    }

    private static void RequireAgreement(string name, IReadOnlyList<(int Rank, HeldPart Part)> parts)
    {
        var (first, expected) = parts[0];
        foreach (var (rank, part) in parts)
        {
            if (part.Type != expected.Type || !part.Shape.SequenceEqual(expected.Shape))
            {
                throw new InvalidOperationException(
                    $"Tensor {name} is {expected.Type} of shape [{string.Join(", ", expected.Shape)}] on rank {first} and {part.Type} of shape "
                    + $"[{string.Join(", ", part.Shape)}] on rank {rank}. All ranks must have the same model.");
            }
        }
    }

    private static void RequireComplete(IEnumerable<PlannedPart> planned)
    {
        foreach (var tensor in planned.GroupBy(part => part.Name, StringComparer.Ordinal))
        {
            if (TensorCoverage.Problem([.. tensor.Select(part => part.Part)]) is { } problem)
                throw new InvalidOperationException($"The ranks together do not have the whole of tensor {tensor.Key}: {problem}.");
        }
    }

    /// <summary>Cuts a layout wherever a rank's part begins or ends.</summary>
    /// <returns>Runs, each with the ranks that have all of it.</returns>
    private static IEnumerable<(TensorPart Part, int[] Ranks)> Runs(IReadOnlyList<(int Rank, TensorPart Part)> parts)
    {
        var cuts = new SortedSet<long>(parts.SelectMany(entry => new[] { entry.Part.Start, entry.Part.End }));
        foreach (var (start, end) in cuts.Zip(cuts.Skip(1)))
        {
            int[] ranks = [.. parts.Where(entry => entry.Part.Start <= start && entry.Part.End >= end).Select(entry => entry.Rank)];
            if (ranks.Length > 0)
                yield return (parts[0].Part.Run(start, end - start), ranks);
        }
    }

    /// <summary>Shares parts out among the ranks that all have them: the one behind the other, cut into equal amounts.</summary>
    private static IEnumerable<PlannedPart> Share(IReadOnlyList<PlannedPart> parts, int[] ranks, long smallestPiece)
    {
        var (total, done, owner) = (parts.Sum(part => part.Bytes), 0L, 0);
        foreach (var part in parts)
        {
            var (start, size) = (part.Part.Start, part.Bytes / part.Part.Count);
            while (start < part.Part.End)
            {
                var left = (part.Part.End - start) * size;
                var share = (long)((Int128)total * (owner + 1) / ranks.Length) - done;
                var isLast = owner == ranks.Length - 1;
                if (!isLast && share < Math.Min(smallestPiece, left))
                {
                    owner++;
                    continue;
                }

                var count = isLast || left - share < smallestPiece ? left / size : Math.Max(share / size, 1);
                count = Math.Min(count, left / size);
                yield return part with { Part = part.Part.Run(start, count), Rank = ranks[owner] };
                start += count;
                done += count * size;
            }
        }
    }
}
