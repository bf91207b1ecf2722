using System.Globalization;

namespace ShardSharp.Launching;

/// <summary>What stands before each line a rank writes: "[rank 0] ", numbers aligned to the widest of the job.</summary>
internal static class RankPrefix
{
    public static string Of(int rank, int worldSize)
    {
        var width = (worldSize - 1).ToString(CultureInfo.InvariantCulture).Length;
        return $"[rank {rank.ToString(CultureInfo.InvariantCulture).PadLeft(width)}] ";
    }
}
