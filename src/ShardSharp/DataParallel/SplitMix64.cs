namespace ShardSharp.DataParallel;

/// <summary>A small random generator whose numbers are the same in every version of .NET, so that an order of samples can be resumed.</summary>
/// <remarks>Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.</remarks>
internal struct SplitMix64(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number below <paramref name="limit"/>, each equally likely: the multiply-shift method with rejection of Lemire (2019).</summary>
    public ulong Below(ulong limit)
    {
        var high = Math.BigMul(Next(), limit, out var low);
        if (low < limit)
        {
            var threshold = (0 - limit) % limit;
            while (low < threshold)
                high = Math.BigMul(Next(), limit, out low);
        }

        return high;
    }
}
