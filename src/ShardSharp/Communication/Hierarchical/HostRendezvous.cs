using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;

namespace ShardSharp.Communication.Hierarchical;

/// <summary>Where the ranks of an MPI job find those that share their host.</summary>
internal static class HostRendezvous
{
    /// <summary>Makes the group of all ranks that uses shared memory within hosts, if there are several hosts with several ranks each.</summary>
    /// <param name="world">The job; all its ranks call this together.</param>
    /// <param name="host">Name of this rank's host.</param>
    /// <param name="terms">How long ranks wait for each other.</param>
    /// <returns>The group to use instead of the job's own, which it owns.</returns>
    public static ProcessGroup Join(MpiWorld world, string host, RunTerms terms)
    {
        var hosts = world.Group.AllGatherObject(host);
        var map = new HostMap(hosts);

        // Whatever the launcher calls its jobs, no other run has this name.
        var run = world.Group.BroadcastObject(Guid.NewGuid(), 0);
        if (map.Hosts == 1 || !map.AnyShared)
            return world.Group;
        var rank = world.Group.Rank;
        var neighbours = map.MembersOn(map.HostOf(rank));
        return new HierarchicalProcessGroup(world.Group, neighbours.Count == 1 ? new SoloProcessGroup("world", rank) : Meet(), hosts);

        ProcessGroup Meet()
        {
            var local = new SharedMemoryRendezvous($"{run}-{host}", neighbours.Count, terms, neighbours).Join(map.PlaceOf(rank));
            world.Neighbours = local.Roster;
            return local.Group;
        }
    }
}
