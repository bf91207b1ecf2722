namespace ShardSharp.Communication.Hierarchical;

/// <summary>Which members of a group share a host, and who stands in on one host for a member of another.</summary>
internal sealed class HostMap
{
    private readonly int[] _hostOf;
    private readonly int[] _placeOf;
    private readonly int[][] _members;
    private readonly int[] _firstPlaces;

    /// <param name="hosts">Host of every member: equal values for equal hosts.</param>
    public HostMap(IReadOnlyList<string> hosts)
    {
        string[] names = [.. hosts.Distinct()];
        _hostOf = [.. hosts.Select(host => Array.IndexOf(names, host))];
        _members = [.. names.Select((_, host) => Enumerable.Range(0, hosts.Count).Where(member => _hostOf[member] == host).ToArray())];
        _firstPlaces = [.. _members.Select((_, host) => _members.Take(host).Sum(members => members.Length))];
        _placeOf = [.. _hostOf.Select((host, member) => Array.IndexOf(_members[host], member))];
    }

    /// <summary>Number of hosts.</summary>
    public int Hosts => _members.Length;

    /// <summary>Whether some host has more than one member.</summary>
    public bool AnyShared => _members.Any(members => members.Length > 1);

    /// <summary>The host of a member, from 0 in the order of their first members.</summary>
    public int HostOf(int member) => _hostOf[member];

    /// <summary>A member's place among those of its host.</summary>
    public int PlaceOf(int member) => _placeOf[member];

    /// <summary>How many members the hosts before one have.</summary>
    public int FirstPlaceOf(int host) => _firstPlaces[host];

    /// <summary>The members on a host, in rank order.</summary>
    public IReadOnlyList<int> MembersOn(int host) => _members[host];

    /// <summary>Who on a host receives what a member has for all on that host: the member itself at home, elsewhere each in turn.</summary>
    public int DeputyOf(int member, int host) => _members[host][_placeOf[member] % _members[host].Length];
}
