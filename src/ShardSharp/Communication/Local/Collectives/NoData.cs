namespace ShardSharp.Communication.Local.Collectives;

/// <summary>A barrier: the synchronisation point that every collective has is all there is.</summary>
internal readonly struct NoData : IStagedCollective
{
    public static bool FetchesResults => false;

    public int Chunks => 0;

    public void Publish(int chunk)
    {
    }

    public void Combine(int chunk)
    {
    }
}
