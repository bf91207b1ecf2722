using System.Collections.Concurrent;
using System.Diagnostics;
using ShardSharp.Native;

namespace ShardSharp.Testing;

/// <summary>Random delays of ranks, which show races that an even pace hides.</summary>
/// <remarks>
/// <see cref="RankHarness"/> delays ranks between the steps of their collectives and messages; a test may also call <see cref="Delay"/> in
/// its own code. The same seed delays each rank in the same way again. No result may depend on delays.
/// </remarks>
/// <param name="seed">Makes the delays repeatable.</param>
public sealed class DelayInjection(int seed)
{
    /// <summary>Shorter delays are spun: the system takes about as long to wake a sleeper.</summary>
    private static readonly TimeSpan ShortestSleep = TimeSpan.FromMicroseconds(60);

    private readonly ConcurrentDictionary<int, Random> _randoms = new();

    /// <summary>The seed, to be shown with a failure.</summary>
    public int Seed => seed;

    /// <summary>How many of the steps are delayed, from 0 (none) to 1 (all); as many again give up their turn on a core.</summary>
    /// <value>0.25 unless set.</value>
    public double Share { get; init; } = 0.25;

    /// <summary>The longest delay. Of the delays from one microsecond to this, each order of magnitude is as frequent as the next.</summary>
    /// <value>100 microseconds unless set.</value>
    public TimeSpan Longest { get; init; } = TimeSpan.FromMicroseconds(100);

    /// <summary>The ranks that are delayed, by their rank in the world, for tests of stragglers; null for all.</summary>
    /// <value>Null unless set.</value>
    public IReadOnlyCollection<int>? Ranks { get; init; }

    /// <summary>Delays the calling thread, or not, as chance has it.</summary>
    /// <param name="rank">World rank of the caller.</param>
    public void Delay(int rank)
    {
        if (Ranks?.Contains(rank) == false)
            return;
        var random = _randoms.GetOrAdd(rank, static (rank, seed) => new Random((seed * 31) + rank), seed);
        double choice, size;

        // Background operations of a rank share its generator with the rank itself.
        lock (random)
            (choice, size) = (random.NextDouble(), random.NextDouble());
        if (choice < Share)
            Pause(TimeSpan.FromMicroseconds(Math.Pow(Math.Max(1, Longest.TotalMicroseconds), size)));
        else if (choice < 2 * Share)
            Thread.Yield();
    }

    private static void Pause(TimeSpan time)
    {
        if (time >= ShortestSleep)
        {
            SharedWord.Nap(time);
            return;
        }

        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < time)
            Thread.SpinWait(10);
    }
}
