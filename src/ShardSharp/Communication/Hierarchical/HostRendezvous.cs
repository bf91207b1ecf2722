using System.Security.Cryptography;
using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;

namespace ShardSharp.Communication.Hierarchical;

/// <summary>Where the ranks of an MPI job find those that share their host.</summary>
internal static class HostRendezvous
{
    private const int SecretBytes = 16;

    /// <summary>Has ranks of one host share memory, for what they record and, where there are several hosts, for what they communicate.</summary>
    /// <param name="world">The job; all its ranks call this together.</param>
    /// <param name="host">Name of this rank's host.</param>
    /// <param name="site">Where the program asked for it.</param>
    /// <returns>The group of all ranks to use instead of the job's own, which it owns.</returns>
    public static ProcessGroup Join(MpiWorld world, string host, CallSite site)
    {
        var (all, rank) = (world.Group, world.Group.Rank);
        var hosts = all.AllGatherObject(host, site.File, site.Line);

        // Launchers' job names can be guessed; this is known to the ranks of the job alone.
        var secret = all.BroadcastObject(RandomNumberGenerator.GetHexString(2 * SecretBytes), 0, site.File, site.Line);
        var map = new HostMap(hosts);
        var neighbours = map.MembersOn(map.HostOf(rank));
        world.EnterHost(hosts, neighbours.Count == 1 ? null : Meet);
        if (map.Hosts == 1 || !map.AnyShared)
            return all;
        var group = new HierarchicalProcessGroup(all, world.Host?.Group ?? (ProcessGroup)new SoloProcessGroup("world", rank), hosts);
        group.RecordIn(all.Recorder);
        return group;

        LocalWorld Meet(RunTerms terms) =>
            new SharedMemoryRendezvous($"{secret}-{host}", neighbours.Count, terms, neighbours).Join(map.PlaceOf(rank));
    }
}
