using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace ShardSharp.Communication;

/// <summary>What went wrong between ranks, for people: where every rank is, where their calls part, and what each did last.</summary>
/// <param name="cause">What the rank noticed.</param>
/// <param name="reporter">The rank that noticed it first.</param>
/// <param name="flights">What every rank recorded, in rank order.</param>
/// <param name="now">Tick of <see cref="Stopwatch"/> at which the records were read.</param>
internal sealed class FailureReport(string cause, int reporter, IReadOnlyList<RankFlight> flights, long now)
{
    private const int LastCalls = 5;

    /// <summary>What failed.</summary>
    public string Cause => cause;

    /// <summary>Host of every rank, where there are several.</summary>
    public IReadOnlyList<string>? Hosts { get; init; }

    private readonly StringBuilder _text = new();

    /// <summary>The whole report: the cause, then the state of the ranks.</summary>
    public override string ToString() => $"{cause}\n{Ranks()}";

    /// <summary>Where every rank is, where their calls part, and what each did last.</summary>
    public string Ranks()
    {
        _text.Clear();
        Line(0, $"Where the ranks are, as rank {reporter} found them:");
        foreach (var flight in flights)
            Line(1, $"rank {flight.Rank}{(Hosts is null ? "" : $" on {Hosts[flight.Rank]}")} {Place(flight)}");
        foreach (var group in UnfinishedGroups())
            Part(group);
        Line(0, $"The last {LastCalls} calls of each rank:");
        foreach (var flight in flights.Where(flight => !flight.IsSilent))
            Line(1, $"rank {flight.Rank}: {(flight.Entries.Count == 0 ? "none" : "")}", flight.Entries.TakeLast(LastCalls).Select(Outcome));
        return _text.ToString();
    }

    private string Place(RankFlight flight)
    {
        if (flight.IsSilent)
            return "does not answer: its process has died, or is stopped";
        var (current, last) = (flight.Current, flight.Entries is [.., var latest] ? latest : null);
        var calls = current is not null ? $"is in {current} for {Seconds(current.StartTimestamp, now)}{Awaited(flight, current)}"
            : last is null ? "has called nothing yet"
            : last.State == FlightState.Failed ? $"has failed in {last}"
            : $"is in no call for {Seconds(last.EndTimestamp ?? now, now)}; its last was {last}";
        return flight.Gone is null ? calls : $"{flight.Gone}: it {(current is null ? calls : calls.Replace("is in", "was in", StringComparison.Ordinal))}";
    }

    private string Awaited(RankFlight flight, FlightEntry call)
    {
        if (call.MessagePeer is { } peer)
            return $", waits for rank {peer}";
        var late = flights.Where(other => other.Rank != flight.Rank && other.Groups.Contains(call.GroupIdentity)
            && !other.CollectivesOf(call.GroupIdentity).Keys.Any(sequence => sequence >= call.Sequence));
        return late.Any() ? $", waits for {Ranks(late)}" : "";
    }

    private IEnumerable<(long Identity, string Name)> UnfinishedGroups() => flights
        .SelectMany(flight => flight.Entries.Where(entry => entry.State != FlightState.Completed && entry.MessagePeer is null))
        .Select(entry => (entry.GroupIdentity, entry.Group)).Distinct();

    /// <summary>Says up to where the ranks of a group called the same, and what each called next.</summary>
    private void Part((long Identity, string Name) group)
    {
        var members = flights.Where(flight => flight.Groups.Contains(group.Identity))
            .Select(flight => (Flight: flight, Calls: flight.CollectivesOf(group.Identity))).ToList();
        if (members.Count == 0)
            return;
        var common = members[0].Calls.Values.OrderBy(call => call.Sequence).LastOrDefault(call => members.TrueForAll(
            member => member.Calls.TryGetValue(call.Sequence, out var same) && same.Operation == call.Operation));
        var title = $"Group '{group.Name}' of {Ranks(members.Select(member => member.Flight))}";
        var next = members.GroupBy(member => Next(member.Calls, (common?.Sequence ?? 0) + 1)).ToList();
        if (next is [{ Key: Nothing }])
        {
            Line(0, $"{title}: all have called the same, up to #{common!.Sequence} {common.Operation}.");
            return;
        }

        var agreed = common is null ? "no call is known to be the same on all" : $"all called the same up to #{common.Sequence} {common.Operation}";
        Line(0, $"{title}: {agreed}; then", next.Select(same => $"{Ranks(same.Select(member => member.Flight))}: {same.Key}"));
    }

    private const string Nothing = "nothing more";

    private static string Next(IReadOnlyDictionary<long, FlightEntry> calls, long sequence) =>
        calls.TryGetValue(sequence, out var call) ? $"#{sequence} {call.OperationAndShape} at {call.CallSite}"
        : calls.Keys.Any(other => other > sequence) ? $"went on to #{calls.Keys.Max()}"
        : Nothing;

    private string Outcome(FlightEntry entry)
    {
        var how = entry.State switch
        {
            FlightState.Running => "running for",
            FlightState.Completed => "took",
            _ => "failed after",
        };
        return $"{entry}{(entry.IsBackground ? " in the background" : "")}, {how} {Seconds(entry.StartTimestamp, entry.EndTimestamp ?? now)}";
    }

    private static string Ranks(IEnumerable<RankFlight> ranks)
    {
        var numbers = ranks.Select(flight => flight.Rank).ToList();
        return $"{(numbers.Count == 1 ? "rank" : "ranks")} {string.Join(", ", numbers)}";
    }

    private static string Seconds(long from, long to) =>
        string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(from, Math.Max(from, to)).TotalSeconds:F3} s");

    private void Line(int depth, string text, IEnumerable<string>? below = null)
    {
        _text.Append(' ', 2 * depth).Append(text.TrimEnd()).Append('\n');
        foreach (var line in below ?? [])
            Line(depth + 1, line);
    }
}
