using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology;

/// <summary>Every layout there is up to a number of ranks: all degrees that fit and all placements.</summary>
internal static class Factorings
{
    public const int LargestWorld = 64;

    public static IEnumerable<RankLayout> All()
    {
        for (var world = 1; world <= LargestWorld; world++)
        {
            foreach (var pipeline in Divisors(world))
            {
                foreach (var tensor in Divisors(world / pipeline))
                {
                    foreach (var placement in PlacementStrategy.All)
                        yield return new RankLayout(world, pipeline, tensor, placement);
                }
            }
        }
    }

    public static IEnumerable<int> Divisors(int number) => Enumerable.Range(1, number).Where(divisor => number % divisor == 0);
}
