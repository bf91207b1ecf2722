namespace ShardSharp.Benchmarks;

/// <summary>Brings .NET to compile what is to be timed with its best effort.</summary>
internal static class WarmUp
{
    private const int Rounds = 8;

    /// <summary>
    /// .NET compiles so what has been called often, in the background, once nothing new has been called for 100 ms; twice, the second time from
    /// what it observed after the first.
    /// </summary>
    /// <param name="calls">What is to be timed, each repeated some hundred times.</param>
    public static void LetCompile(IReadOnlyList<Action> calls)
    {
        using var never = new ManualResetEventSlim();
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var call in calls)
                call();
            never.Wait(TimeSpan.FromMilliseconds(200));
        }
    }
}
