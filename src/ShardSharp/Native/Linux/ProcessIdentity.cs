using System.Globalization;

namespace ShardSharp.Native;

/// <summary>A process as others can recognise it: its number, and when it started, because numbers are used again.</summary>
/// <param name="Id">Process id.</param>
/// <param name="StartTicks">Clock ticks between boot and its start (field 22 of /proc/[pid]/stat, proc(5)).</param>
internal readonly record struct ProcessIdentity(int Id, long StartTicks)
{
    public static ProcessIdentity Current { get; } = new(Environment.ProcessId, ReadStat(Environment.ProcessId)?.StartTicks ?? 0);

    /// <summary>Whether the process still runs: it exists, is the same one, and is not a zombie waiting for its parent.</summary>
    public bool IsAlive => Id == Environment.ProcessId
        || (ReadStat(Id) is { } stat && stat.StartTicks == StartTicks && stat.State is not ('Z' or 'X'));

    private static (char State, long StartTicks)? ReadStat(int id)
    {
        string text;
        try
        {
            text = File.ReadAllText($"/proc/{id}/stat");
        }
        catch (IOException)
        {
            return null;
        }

        // The second field is the program's name in brackets and may hold anything, so count from the last bracket on.
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return (fields[0][0], long.Parse(fields[19], CultureInfo.InvariantCulture));
    }
}
