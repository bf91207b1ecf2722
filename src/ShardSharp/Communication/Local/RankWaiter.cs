using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using ShardSharp.Native;

namespace ShardSharp.Communication.Local;

/// <summary>Waiting for another rank's counter: spinning while a core is free for it, then asleep in the kernel, never for ever.</summary>
/// <param name="roster">Consulted while asleep, so that a failure anywhere ends the wait.</param>
/// <param name="deadline">The longest a rank may wait for another.</param>
/// <param name="mayOwnCore">Whether each rank of the host can have a core to itself; if not, spinning would keep the others from working.</param>
internal sealed unsafe class RankWaiter(RankRoster roster, TimeSpan deadline, bool mayOwnCore)
{
    /// <summary>A rank that was delayed for longer than the kernel takes to wake a sleeper (some 50 us) is worth sleeping for.</summary>
    private const int SpinsWithOwnCore = 2000;
    private const int SpinsWhenCrowded = 20;

    /// <summary>Ranks that come together see each other within some 100 ns. Until then a look is as soon after another as the processor likes.</summary>
    private const int LooksWithOwnCore = 50;

    /// <summary>How soon a sleeping rank notices a failure that nobody wakes it for.</summary>
    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// How often it looks beyond the rank that it waits for, at all of them; and in the background at processes at all, since that is reading a file
    /// (0.2 ms) on a core that computes.
    /// </summary>
    private const int NapsBetweenRounds = 5;

    private readonly int _spins = mayOwnCore ? SpinsWithOwnCore : SpinsWhenCrowded;

    private readonly int _looks = mayOwnCore ? LooksWithOwnCore : 1;

    /// <summary>Sets a counter that only this rank changes. Whoever sees the value also sees all that this thread wrote before.</summary>
    /// <remarks>
    /// A store with release semantics, which on x86-64 is an ordinary one: the rank goes on while the line comes from the caches of those
    /// that wait. <see cref="WakeSleepers"/> must follow, soon.
    /// </remarks>
    public static void Advance(int* counter, int value) => Volatile.Write(ref *counter, value);

    /// <summary>Wakes whoever sleeps until a counter changes that was advanced.</summary>
    public static void WakeSleepers(int* counter, int* sleepers)
    {
        // This rank has advanced the counter and looks for sleepers; a sleeper has said so and looks at the counter. With a full barrier
        // between the two on both sides at least one of them sees what the other did.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref *sleepers) != 0)
            SharedWord.WakeAll(counter);
    }

    /// <summary>Waits for a moment only.</summary>
    /// <returns>Whether the counter has reached the target. What was written before it did can be read then.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Look(int* counter, int target)
    {
        for (var i = 0; i < _looks; i++)
        {
            if (Volatile.Read(ref *counter) - target >= 0)
                return true;
            if (X86Base.IsSupported)
                X86Base.Pause();
            else
                Thread.SpinWait(1);
        }

        return false;
    }

    /// <summary>Returns once the counter has reached <paramref name="target"/>.</summary>
    /// <param name="counter">Counts up, and around.</param>
    /// <param name="sleepers">Told about this rank while it sleeps.</param>
    /// <param name="target">Value to wait for.</param>
    /// <param name="wait">Says who is awaited and what for, if it comes to a report.</param>
    /// <returns>Stopwatch ticks asleep; 0 where that was not worth it.</returns>
    /// <exception cref="RankFailedException">A rank ended.</exception>
    /// <exception cref="CollectiveTimeoutException">The deadline passed.</exception>
    public long WaitFor(int* counter, int* sleepers, int target, in PendingWait wait) =>
        Spin(counter, target, wait.InBackground) ? 0 : Sleep(counter, sleepers, target, wait);

    /// <summary>Waits without sleeping, for as long as that is sensible.</summary>
    /// <param name="counter">Counts up, and around.</param>
    /// <param name="target">Value to wait for.</param>
    /// <param name="inBackground">Whether the rank computes meanwhile, so that spinning would take its core from it.</param>
    /// <returns>Whether the counter has reached the target; if not, it is time to <see cref="Sleep"/>.</returns>
    public bool Spin(int* counter, int target, bool inBackground)
    {
        var spins = inBackground ? SpinsWhenCrowded : _spins;
        for (var i = 0; i < spins; i++)
        {
            if (Volatile.Read(ref *counter) - target >= 0)
                return true;
            Thread.SpinWait(1);
        }

        return false;
    }

    /// <summary>Sleeps until the counter has reached <paramref name="target"/>.</summary>
    /// <inheritdoc cref="WaitFor"/>
    public long Sleep(int* counter, int* sleepers, int target, in PendingWait wait)
    {
        var started = Stopwatch.GetTimestamp();
        Interlocked.Increment(ref *sleepers);
        try
        {
            for (var naps = 1; ; naps++)
            {
                var value = Volatile.Read(ref *counter);
                if (value - target >= 0)
                    return Stopwatch.GetTimestamp() - started;
                SharedWord.WaitWhile(counter, value, Nap);
                if (Volatile.Read(ref *counter) - target >= 0)
                    return Stopwatch.GetTimestamp() - started;
                var isRound = naps % NapsBetweenRounds == 0;
                ThrowIfHopeless(counter, target, wait, Stopwatch.GetElapsedTime(started), looksAtProcess: isRound || !wait.InBackground);
                if (isRound && roster.FirstDead() is { } dead)
                    ThrowGone(dead, wait);
            }
        }
        finally
        {
            Interlocked.Decrement(ref *sleepers);
        }
    }

    private void ThrowIfHopeless(int* counter, int target, in PendingWait wait, TimeSpan waited, bool looksAtProcess)
    {
        // A rank may have done its part, and then failed or left, since the counter was read.
        if (roster.FirstFailure is { } failure && Volatile.Read(ref *counter) - target < 0)
            throw new RankFailedException($"{failure}{Environment.NewLine}  {wait.Describe()}");
        if (looksAtProcess && roster.WhyGone(wait.AwaitedGlobalRank) is not null && Volatile.Read(ref *counter) - target < 0)
            ThrowGone(wait.AwaitedGlobalRank, wait);

        if (waited > deadline)
        {
            var message = $"Rank {wait.GlobalRank} waited {waited.TotalSeconds:F0} s, past the deadline (collective_timeout_seconds = "
                + $"{deadline.TotalSeconds:F0}).{Environment.NewLine}  {wait.Describe()}";
            roster.Break(message);
            throw new CollectiveTimeoutException(message);
        }
    }

    private void ThrowGone(int rank, in PendingWait wait)
    {
        var discovery = $"Rank {rank} {roster.WhyGone(rank)}, but other ranks still need it.";
        roster.Break(discovery);

        // Another rank that found out at the same moment may have been killed while writing.
        throw new RankFailedException($"{roster.FirstFailure ?? discovery}{Environment.NewLine}  {wait.Describe()}");
    }
}
