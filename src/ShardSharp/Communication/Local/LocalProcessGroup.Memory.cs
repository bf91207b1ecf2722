namespace ShardSharp.Communication.Local;

internal sealed unsafe partial class LocalProcessGroup
{
    public override bool SharesMemory => _world.SharesMemory;

    private protected override SharedMemory Share(long bytes, CallSite site)
    {
        var region = Rank == 0 ? _world.Regions.Create(Name, bytes, out var address) : Forget(out address);
        try
        {
            var offers = AllGatherObject(new Offer(address, bytes, _world.NextMemoryNumber()), site.File, site.Line);
            RequireSameLength(offers, site);
            region ??= _world.Regions.Open(offers[0].Address, bytes);
            Barrier(site.File, site.Line);
            return new SharedMemory(region, bytes, offers[0].Number, GlobalRanks, _world.Memories);
        }
        catch
        {
            region?.Dispose();
            throw;
        }
        finally
        {
            if (Rank == 0)
                _world.Regions.Published(region!, address);
        }
    }

    private void RequireSameLength(IReadOnlyList<Offer> offers, CallSite site)
    {
        if (offers.All(offer => offer.Bytes == offers[0].Bytes))
            return;
        var asked = offers.Select((offer, member) => $"{Environment.NewLine}  rank {GlobalRanks[member]}: {offer.Bytes} bytes");
        var message = $"The ranks of group '{Name}' asked for different amounts of shared memory at {Path.GetFileName(site.File)}:{site.Line}:"
            + string.Concat(asked);
        _world.Roster.Break(message);
        throw new CollectiveMismatchException(message);
    }

    /// <summary>What a rank asks for, and on the first rank where to find it and what to call it.</summary>
    private sealed record Offer(string Address, long Bytes, long Number);
}
