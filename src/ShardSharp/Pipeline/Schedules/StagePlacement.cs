namespace ShardSharp.Pipeline.Schedules;

/// <summary>Which rank of a pipeline runs which stages.</summary>
public sealed class StagePlacement
{
    private readonly int[] _ranks;

    private StagePlacement(int ranks, int[] rankOfStage) => (Ranks, _ranks) = (ranks, rankOfStage);

    /// <summary>Ranks of the pipeline.</summary>
    public int Ranks { get; }

    /// <summary>Stages, at least one a rank.</summary>
    public int Stages => _ranks.Length;

    /// <summary>The rank that runs a stage.</summary>
    /// <param name="stage">Stage, from 0.</param>
    public int RankOf(int stage) => _ranks[stage];

    /// <summary>A rank's stages, first to last.</summary>
    /// <param name="rank">Rank in the pipeline, from 0.</param>
    public IReadOnlyList<int> StagesOf(int rank) => [.. Enumerable.Range(0, Stages).Where(stage => _ranks[stage] == rank)];

    /// <summary>Stages dealt out in turn: with two a rank, rank 0 of 3 has stages 0 and 3.</summary>
    /// <param name="ranks">Ranks of the pipeline.</param>
    /// <param name="chunks">Stages of each rank.</param>
    public static StagePlacement Loop(int ranks, int chunks = 1)
    {
        RequirePositive(ranks, nameof(ranks));
        RequirePositive(chunks, nameof(chunks));
        return new StagePlacement(ranks, [.. Enumerable.Range(0, ranks * chunks).Select(stage => stage % ranks)]);
    }

    /// <summary>Two stages a rank, down the ranks and up again, so that rank 0 has the first stage and the last.</summary>
    /// <param name="ranks">Ranks of the pipeline.</param>
    public static StagePlacement V(int ranks)
    {
        RequirePositive(ranks, nameof(ranks));
        return new StagePlacement(ranks, [.. Enumerable.Range(0, ranks), .. Enumerable.Range(0, ranks).Reverse()]);
    }

    /// <summary>Each stage's rank as given.</summary>
    /// <param name="rankOfStage">Ranks from 0; each has at least one stage.</param>
    /// <exception cref="ArgumentException">A rank has no stage.</exception>
    public static StagePlacement Of(IReadOnlyList<int> rankOfStage)
    {
        ArgumentNullException.ThrowIfNull(rankOfStage);
        var ranks = rankOfStage.Count == 0 ? 0 : rankOfStage.Max() + 1;
        if (ranks == 0 || rankOfStage.Min() < 0 || rankOfStage.Distinct().Count() != ranks)
        {
            throw new ArgumentException(
                $"Stages need ranks 0, 1, 2 ... with none left out; given [{string.Join(", ", rankOfStage)}].", nameof(rankOfStage));
        }

        return new StagePlacement(ranks, [.. rankOfStage]);
    }

    private static void RequirePositive(int value, string name) => ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
}
