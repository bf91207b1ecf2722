namespace ShardSharp.Communication.Local.Collectives;

/// <summary>All-reduce of little data: everyone publishes all of it and reduces all of it, with one synchronisation point.</summary>
internal readonly unsafe struct SmallAllReduce(LocalProcessGroup group, CollectiveCall call) : IStagedCollective
{
    /// <summary>Up to here reducing everything everywhere takes less time than a second synchronisation point.</summary>
    public const int MaximumBytes = 32 * 1024;

    public static bool FetchesResults => false;

    public int Chunks => 1;

    public void Publish(int chunk) => call.Input.Read(0, group.Contribution(group.Rank, chunk), call.Input.Length);

    public void Combine(int chunk) => new Contributions(group, call, chunk).Reduce(0, 0, call.Output.Length, mirror: null);
}
