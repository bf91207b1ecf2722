using ShardSharp.Communication;
using ShardSharp.Testing;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Recording;

public sealed class FlightRecorderTests
{
    public static TheoryData<RankBackend> Backends => [RankBackend.Threads, RankBackend.SharedMemory];

    [Theory]
    [MemberData(nameof(Backends))]
    public void Keeps_what_a_rank_called(RankBackend backend)
    {
        var all = RankHarness.Run(
            2,
            group =>
            {
                using var pair = group.Split("pair", [[0, 1]]);
                var before = group.Recorder.Entries.Count;
                pair.AllReduce(zeros(10), ReduceOperation.Max);
                pair.AllReduceAsync(zeros(3, ScalarType.Int64)).Wait();
                if (group.Rank == 0)
                    group.Send(zeros(7), 1);
                else
                    group.Receive(zeros(7), 0);
                return group.Recorder.Entries.Skip(before).ToList();
            },
            new RankHarnessOptions { Backend = backend });
        Assert.All(all, entries =>
        {
            Assert.Equal([1, 2, 1], entries.Select(entry => entry.Sequence));
            Assert.Equal(["pair", "pair", "world"], entries.Select(entry => entry.Group));
            Assert.Equal([10, 3, 7], entries.Select(entry => entry.Elements));
            Assert.Equal([ScalarType.Float32, ScalarType.Int64, ScalarType.Float32], entries.Select(entry => entry.ElementType));
            Assert.Equal([false, true, false], entries.Select(entry => entry.IsBackground));
            Assert.All(entries, entry =>
            {
                Assert.Equal(FlightState.Completed, entry.State);
                Assert.StartsWith("FlightRecorderTests.cs:", entry.CallSite, StringComparison.Ordinal);
                Assert.InRange(entry.Duration!.Value, TimeSpan.Zero, TimeSpan.FromMinutes(1));
            });
        });
        Assert.Equal("all_reduce (max) of 10 Float32", all[0][0].Operation);
        Assert.Equal(all[0][0].GroupIdentity, all[1][0].GroupIdentity);
        Assert.NotEqual(all[0][0].GroupIdentity, all[0][2].GroupIdentity);
        Assert.Equal(("send to 1 of 7 Float32", "receive from 0 of 7 Float32"), (all[0][2].Operation, all[1][2].Operation));
    }

    [Fact]
    public void Keeps_the_latest_calls_when_there_are_more_than_it_holds()
    {
        using var group = new SoloProcessGroup("world", 0);
        for (var i = 0; i < (2 * FlightLog.Capacity) + 10; i++)
            group.Barrier();
        var entries = group.Recorder.Entries;
        Assert.Equal(Enumerable.Range(FlightLog.Capacity + 11, FlightLog.Capacity).Select(number => (long)number), entries.Select(e => e.Number));
    }

    [Fact]
    public void Keeps_calls_of_more_groups_and_places_than_it_can_name()
    {
        using var group = new SoloProcessGroup("world", 0);
        for (var i = 0; i < FlightLog.Groups + 1; i++)
            group.Split($"group {i}", [[0]]).Barrier();
        Assert.Equal("a further group", group.Recorder.Entries[^1].Group);
        Assert.Equal("group 0", group.Recorder.Entries[0].Group);
        for (var i = 0; i < FlightLog.Sites + 1; i++)
            group.Barrier("Program.cs", i);
        Assert.Equal("an unlisted place", group.Recorder.Entries[^1].CallSite);
    }

    [Fact]
    public void Says_of_a_call_that_throws_that_it_failed()
    {
        using var released = new ManualResetEventSlim();
        FlightEntry? last = null;
        RankHarness.Capture(2, group =>
        {
            if (group.Rank == 1)
                throw new InvalidOperationException("gone");
            Assert.Throws<RankFailedException>(() => group.Barrier());
            last = group.Recorder.Entries[^1];
        });
        Assert.Equal(FlightState.Failed, last!.State);
        Assert.NotNull(last.Duration);
    }

    [Fact]
    public void Outlives_the_memory_that_the_ranks_shared()
    {
        var recorder = RankHarness.Run(2, group =>
        {
            group.Barrier();
            return group.Recorder;
        })[1];
        Assert.Equal("barrier", Assert.Single(recorder.Entries).Operation);
    }

    [Fact]
    public unsafe void Records_without_allocating()
    {
        var recorder = FlightRecorder.Private();
        var recording = recorder.Open("world", [0, 1]);
        var call = new CollectiveCall(
            CollectiveKind.Barrier, ScalarType.Byte, default, default, default, -1, new CallSite("Program.cs", 3));
        recording.End(recording.Begin(call), FlightState.Completed);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
            recording.End(recording.Begin(call), FlightState.Completed);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(FlightLog.Capacity, recorder.Entries.Count);
    }
}
