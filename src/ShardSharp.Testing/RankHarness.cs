using System.Runtime.ExceptionServices;
using ShardSharp.Communication;
using ShardSharp.Communication.Local;
using ShardSharp.Topology;

namespace ShardSharp.Testing;

/// <summary>Runs a piece of a program on several ranks at once, inside a test.</summary>
public static class RankHarness
{
    /// <summary>Runs <paramref name="program"/> on every rank and throws what the first rank to fail threw.</summary>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="program">What each rank does with the group of all ranks, which is disposed afterwards.</param>
    /// <param name="options">Backend, deadline and delays; the defaults if null.</param>
    public static void Run(int ranks, Action<ProcessGroup> program, RankHarnessOptions? options = null)
    {
        var failures = Capture(ranks, program, options);
        if (failures.Count > 0)
            ExceptionDispatchInfo.Throw(failures[0].Failure);
    }

    /// <summary>Runs <paramref name="program"/> on every rank and returns every rank's result, in rank order.</summary>
    /// <typeparam name="T">Type of a rank's result.</typeparam>
    /// <inheritdoc cref="Run(int, Action{ProcessGroup}, RankHarnessOptions?)"/>
    public static T[] Run<T>(int ranks, Func<ProcessGroup, T> program, RankHarnessOptions? options = null)
    {
        var results = new T[ranks];
        Run(ranks, group => { results[group.Rank] = program(group); }, options);
        return results;
    }

    /// <summary>Runs a training program on every rank, as <see cref="ModelParallel.Launch"/> would, and throws what the first to fail threw.</summary>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="program">What each rank does.</param>
    /// <param name="configuration">The configuration; its number of ranks and backend are those given here.</param>
    /// <param name="options">Backend, deadline and delays; the defaults if null.</param>
    public static void RunSessions(
        int ranks, Action<Session> program, ParallelConfiguration? configuration = null, RankHarnessOptions? options = null)
    {
        var failures = CaptureSessions(ranks, program, configuration, options);
        if (failures.Count > 0)
            ExceptionDispatchInfo.Throw(failures[0].Failure);
    }

    /// <summary>Runs a training program on every rank and returns what the ranks threw, the first to fail first.</summary>
    /// <inheritdoc cref="RunSessions"/>
    public static IReadOnlyList<(int Rank, Exception Failure)> CaptureSessions(
        int ranks, Action<Session> program, ParallelConfiguration? configuration = null, RankHarnessOptions? options = null)
    {
        var code = (configuration ?? new ParallelConfiguration()) with { Ranks = ranks };
        var loaded = ParallelConfiguration.Load([], new Dictionary<string, string>(), code);
        var construction = new Lock();
        return Capture(
            ranks,
            world =>
            {
                using var session = new Session(loaded, world, (world.Rank, ranks), construction, new CallSite(nameof(RankHarness), 0));
                program(session);
            },
            options);
    }

    /// <summary>Runs <paramref name="program"/> on every rank and returns what the ranks threw, the first to fail first.</summary>
    /// <inheritdoc cref="Run(int, Action{ProcessGroup}, RankHarnessOptions?)"/>
    public static IReadOnlyList<(int Rank, Exception Failure)> Capture(
        int ranks, Action<ProcessGroup> program, RankHarnessOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ranks, 1);
        options ??= new RankHarnessOptions();
        var terms = new RunTerms(options.Deadline, options.Deadline, options.Delays is { } delays ? delays.Delay : null)
        {
            Report = report => options.FailureReported?.Invoke(report.ToString()), SharesMemory = !options.SeparateHosts,
        };
        using var threads = options.Backend == RankBackend.Threads ? new ThreadRendezvous(ranks, terms) : null;
        var job = Guid.NewGuid().ToString("N");
        Func<int, LocalWorld> join = threads is null ? new SharedMemoryRendezvous(job, ranks, terms).Join : threads.Join;
        var failures = new List<(int, Exception)>();
        var started = Enumerable.Range(0, ranks).Select(rank => new Thread(() => RunRank(rank), MaximumStack) { Name = $"rank {rank}" }).ToList();
        started.ForEach(thread => thread.Start());
        started.ForEach(thread => thread.Join());
        return failures;

        void RunRank(int rank)
        {
            LocalWorld? world = null;
            try
            {
                world = join(rank);
                program(world.Group);
            }
            catch (Exception failure) when (Tell(failure))
            {
                lock (failures)
                    failures.Add((rank, failure));
            }
            finally
            {
                world?.Group.Dispose();
            }

            // Told in a filter, which runs before the program's own clean-up: a session that is disposed takes the roster's memory with it.
            bool Tell(Exception failure)
            {
                world?.Roster.Fail($"Rank {rank} failed: {failure.Message}");
                return true;
            }
        }
    }

    /// <summary>Models recurse deeply in backward; the default stack of a thread is small on some systems.</summary>
    private const int MaximumStack = 16 * 1024 * 1024;
}
