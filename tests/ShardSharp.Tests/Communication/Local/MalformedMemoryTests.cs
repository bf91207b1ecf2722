using CsCheck;
using ShardSharp.Communication;
using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;

namespace ShardSharp.Tests.Communication.Local;

/// <summary>Whatever another process has written into shared memory, reading it for a report neither fails nor leaves the memory.</summary>
public sealed unsafe class MalformedMemoryTests
{
    private delegate void Reader(byte* memory);

    [Fact]
    public void Rosters_are_read_within_their_memory() => Sample((int)RankRoster.BytesFor(3), memory =>
    {
        *(int*)memory = 2;
        var roster = new RankRoster(memory, 3, ranksAreProcesses: true);
        Assert.DoesNotContain("ZZZZ", roster.FirstFailure, StringComparison.Ordinal);
        for (var rank = 0; rank < 3; rank++)
            _ = roster.WhyGone(rank);
        _ = roster.FirstDead();
        Assert.InRange(roster.Missing().Count(), 0, 3);
    });

    [Fact]
    public void Signatures_are_read_within_their_memory() =>
        Sample(PublishedSignature.Bytes, memory => Assert.DoesNotContain("ZZZZ", new PublishedSignature(memory).ToString(), StringComparison.Ordinal));

    [Fact]
    public void Flight_recorders_are_read_and_reported_within_their_memory() => Sample(FlightLog.Bytes, memory =>
    {
        var log = new FlightLog(memory);

        // The numbers of the calls tell which are whole; the newest one of all may be anything.
        var last = *log.LastNumber;
        for (var age = 0; age < FlightLog.Capacity; age++)
            log.Call(unchecked(last - age))->Number = unchecked(last - age);
        RankFlight[] flights = [.. Enumerable.Range(0, 2).Select(rank => new RankFlight(rank, null, log.ReadGroups(), log.Read()))];
        Assert.DoesNotContain("ZZZZ", new FailureReport("cause", 0, flights, 0).ToString(), StringComparison.Ordinal);
    });

    [Fact]
    public void Flight_recorders_that_arrive_from_other_hosts_are_read_within_their_memory() => Sample(
        FlightMessage.Bytes, memory => Assert.DoesNotContain("ZZZZ", $"{new FlightMessage(memory).Read().Gone}", StringComparison.Ordinal));

    [Fact]
    public void Only_memory_of_processes_is_opened()
    {
        var file = Path.GetTempFileName();
        using var region = SharedMemoryRegion.Create("test", 4096);
        using var stream = File.Open(file, FileMode.Open);
        string[] others = ["", "/", "nonsense", file, "/proc/self/mem", $"/proc/{Environment.ProcessId}/fd/{stream.SafeFileHandle.DangerousGetHandle()}",
            $"/proc/{Environment.ProcessId}/fd/99999", region.Path + "\n"];
        Assert.All(others, path => Assert.ThrowsAny<IOException>(() => SharedMemoryRegion.Open(path, 4096)));
        Assert.Throws<IOException>(() => SharedMemoryRegion.Open(region.Path, 8192));
        Assert.Equal(0, stream.Length);
        SharedMemoryRegion.Open(region.Path, 4096).Dispose();
        stream.Dispose();
        File.Delete(file);
    }

    /// <summary>Random words, zeros and extremes, after which other text follows that must not be read.</summary>
    private static void Sample(int bytes, Reader read) => Gen.Int.Sample(
        seed =>
        {
            var random = new Random(seed);
            var words = new long[(bytes / sizeof(long)) + 512];
            Array.Fill(words, 0x5A5A_5A5A_5A5A_5A5A);
            for (var i = 0; i < bytes / sizeof(long); i++)
            {
                words[i] = random.Next(5) switch
                {
                    0 => random.NextInt64(long.MinValue, long.MaxValue),
                    1 => long.MaxValue,
                    2 => -1,
                    3 => ((long)random.Next(-3, 3) << 32) | (uint)random.Next(-3, 3),
                    _ => 0,
                };
            }

            fixed (long* memory = words)
                read((byte*)memory);
        },
        iter: 200, threads: 1);
}
