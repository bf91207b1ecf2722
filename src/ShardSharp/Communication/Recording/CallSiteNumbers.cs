using System.Runtime.CompilerServices;

namespace ShardSharp.Communication;

/// <summary>Numbers the places of a program that communicate, without allocating for one that has a number.</summary>
/// <param name="capacity">How many places get a number, from 1; later ones share 0.</param>
/// <param name="added">Told each new number.</param>
internal sealed class CallSiteNumbers(int capacity, Action<int, CallSite> added)
{
    private sealed record Place(CallSite Site, short Number);

    // At most half full, so that probing ends soon.
    private readonly Place?[] _places = new Place?[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)capacity * 2)];
    private readonly Lock _adding = new();
    private int _count;

    public short NumberOf(CallSite site)
    {
        // A file's name is one string in its assembly, so its identity stands for its letters.
        var start = (RuntimeHelpers.GetHashCode(site.File) * 31) + site.Line;
        for (var probe = 0; probe < _places.Length; probe++)
        {
            var place = Volatile.Read(ref _places[(start + probe) & (_places.Length - 1)]);
            if (place is null)
                return Add(site, start);
            if (place.Site.Line == site.Line && ReferenceEquals(place.Site.File, site.File))
                return place.Number;
        }

        return 0;
    }

    private short Add(CallSite site, int start)
    {
        lock (_adding)
        {
            if (_count == capacity - 1)
                return 0;
            var index = start & (_places.Length - 1);
            while (_places[index] is not null)
                index = (index + 1) & (_places.Length - 1);
            var number = (short)++_count;
            added(number, site);
            Volatile.Write(ref _places[index], new Place(site, number));
            return number;
        }
    }
}
