using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Stress;

/// <summary>A run of random operations on one rank: all ranks draw the same plan, each plays its part and checks what it gets.</summary>
internal sealed class StressRun
{
    /// <summary>Operations whose results a rank leaves unchecked meanwhile.</summary>
    private const int MostPending = 8;

    private readonly ProcessGroup _world;
    private readonly StressSettings _settings;
    private readonly DelayInjection _delays;
    private readonly StressPlan _plan;
    private readonly List<StressGroup> _groups = [];
    private readonly Queue<(StressCall Call, Work? Work, Func<string?> Check)> _pending = new();

    private StressRun(ProcessGroup world, StressSettings settings)
    {
        (_world, _settings, _delays) = (world, settings, settings.CreateDelays());
        _plan = new StressPlan(settings.Seed, settings.Largest);
        _groups.Add(new StressGroup("world", parent: null, [.. Enumerable.Range(0, world.Size)]) { Joined = world, Memory = Allocate(world) });
    }

    /// <summary>Runs it.</summary>
    /// <param name="world">The group of all ranks.</param>
    /// <param name="settings">The same on all ranks.</param>
    /// <param name="takesCensus">Whether this rank counts what its process holds; one rank of each process does.</param>
    /// <returns>What the process held at the end of each tenth of the run; none where it was not counted.</returns>
    /// <exception cref="InvalidOperationException">A result was wrong.</exception>
    public static IReadOnlyList<StressCensus> Play(ProcessGroup world, StressSettings settings, bool takesCensus)
    {
        var run = new StressRun(world, settings);
        var censuses = new List<StressCensus>();
        run.OpenChannels();
        for (var tenth = 1; tenth <= StressSettings.Phases; tenth++)
        {
            run.PlayUntil(settings.Collectives * tenth / StressSettings.Phases);
            world.Barrier();
            if (takesCensus)
                censuses.Add(StressCensus.Take());
            world.Barrier();
        }

        run._groups[0].Memory?.Dispose();
        return censuses;
    }

    /// <summary>Collectives of all ranks so far.</summary>
    private int Collectives { get; set; }

    private void PlayUntil(int collectives)
    {
        while (Collectives < collectives)
        {
            switch (_plan.NextAction())
            {
                case StressPlan.Action.Split:
                    Split();
                    break;
                case StressPlan.Action.Dispose:
                    if (_plan.NextToDispose(_groups) is { } group)
                        Dispose(group);
                    break;
                case StressPlan.Action.WaitForAll:
                    Complete(left: 0);
                    break;
                default:
                    Call(_plan.NextCall(_groups));
                    break;
            }
        }

        // The youngest first: a group outlives those split from it.
        for (var last = _groups.Count - 1; last > 0; last--)
            Dispose(_groups[last]);
        Complete(left: 0);
    }

    /// <summary>Messages in the background have a thread for each direction and peer, from the first one on until the group is disposed.</summary>
    private void OpenChannels()
    {
        for (var distance = 1; distance < _world.Size; distance++)
        {
            using Tensor sent = empty(1), received = empty(1);
            Work[] works =
            [
                _world.SendAsync(sent, (_world.Rank + distance) % _world.Size),
                _world.ReceiveAsync(received, (_world.Rank - distance + _world.Size) % _world.Size),
                _world.BarrierAsync(),
            ];
            Array.ForEach(works, work => work.Wait());
        }
    }

    private void Call(StressCall call)
    {
        if (!call.IsMessage)
            Collectives++;
        if (call.Group.Joined is not { } group)
            return;
        _delays.Delay(_world.Rank);
        var arena = call.IsInSharedMemory && call.Group.Memory is { } memory ? new StressArena(memory, group.Rank) : null;
        var work = StressOperations.Start(call, group, arena, out var check);
        _pending.Enqueue((call, work, check));

        // The next operation may take the same memory.
        Complete(arena is null ? MostPending : 0);
    }

    /// <summary>Checks the oldest results until so many are left.</summary>
    private void Complete(int left)
    {
        while (_pending.Count > left)
        {
            var (call, work, check) = _pending.Dequeue();
            work?.Wait();
            if (check() is { } difference)
                throw new InvalidOperationException($"Rank {_world.Rank}: {call}: {difference}. {_settings}");
        }
    }

    private void Split()
    {
        if (_plan.NextSplit(_groups) is not var (group, name, partition))
            return;
        var joined = group.Joined?.Split(name, partition);
        var memory = joined is null ? null : Allocate(joined);
        foreach (var part in partition)
        {
            int[] ranks = [.. part.Select(member => group.Ranks[member])];
            var isMine = ranks.Contains(_world.Rank);
            _groups.Add(new StressGroup(name, group, ranks) { Joined = isMine ? joined : null, Memory = isMine ? memory : null });
            group.Children++;
        }
    }

    private void Dispose(StressGroup group)
    {
        group.Joined?.Dispose();
        group.Memory?.Dispose();
        group.Parent!.Children--;
        _groups.Remove(group);
    }

    private static SharedMemory? Allocate(ProcessGroup group) =>
        group.SharesMemory ? group.AllocateShared(group.Size * StressArena.BytesPerRank) : null;
}
