using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using ShardSharp.Communication;
using ShardSharp.Communication.Nccl;
using ShardSharp.Native;
using ShardSharp.Testing;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Communication.Nccl;

/// <summary>Runs programs on groups of the real NCCL backend over fakes of NCCL and the GPUs; ranks are threads of the test.</summary>
internal sealed record FakeNcclRun
{
    /// <summary>Number of ranks.</summary>
    public required int Ranks { get; init; }

    public TimeSpan Deadline { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Which tensors are taken for ones on a GPU.</summary>
    public Predicate<Tensor> Holds { get; init; } = _ => true;

    /// <summary>What queueing a collective returns on rank 1.</summary>
    public NcclResult AnswerOnRank1 { get; init; }

    /// <summary>The GPU of a rank, by its rank, to look at afterwards.</summary>
    public ConcurrentDictionary<int, FakeGpu> Gpus { get; } = new();

    /// <summary>The library as each rank sees it.</summary>
    public ConcurrentDictionary<int, FakeNccl> Libraries { get; } = new();

    /// <summary>Given the report of a failure.</summary>
    public Action<string>? FailureReported { get; init; }

    /// <summary>Runs a program on every rank and throws what the first to fail threw; nothing may be left over.</summary>
    public void Run(Action<ProcessGroup> program)
    {
        var failures = Capture(program);
        if (failures.Count > 0)
            ExceptionDispatchInfo.Throw(failures[0].Failure);
    }

    /// <summary>Runs a training program on every rank; its tensors are those of a GPU that computes as the CPU does.</summary>
    public void RunSessions(Action<Session> program, ParallelConfiguration configuration)
    {
        var loaded = ParallelConfiguration.Load([], new Dictionary<string, string>(), configuration with { Ranks = Ranks });
        var construction = new Lock();
        Run(group =>
        {
            using var session = new Session(loaded, group, (group.Rank, Ranks), construction, new CallSite("run", 0));
            program(session);
        });
    }

    /// <summary>Runs a program on every rank and returns what the ranks threw, the first to fail first.</summary>
    public IReadOnlyList<(int Rank, Exception Failure)> Capture(Action<ProcessGroup> program)
    {
        var cliques = new ConcurrentDictionary<Guid, FakeClique>();
        var options = new RankHarnessOptions { Deadline = Deadline, FailureReported = FailureReported };
        var failures = RankHarness.Capture(Ranks, host => RunRank(host, cliques, program), options);
        foreach (var rank in Gpus.Keys)
            Assert.Equal((0, 0), (Libraries[rank].Unreleased, Gpus[rank].Unreleased));
        return failures;
    }

    private void RunRank(ProcessGroup host, ConcurrentDictionary<Guid, FakeClique> cliques, Action<ProcessGroup> program)
    {
        using var gpu = Gpus[host.Rank] = new FakeGpu { Holds = Holds };
        using var nccl = Libraries[host.Rank] = new FakeNccl(cliques, gpu) { Answer = host.Rank == 1 ? AnswerOnRank1 : NcclResult.Success };
        using var group = NcclRendezvous.Join(host, nccl, gpu, gpu, Deadline, new CallSite("run", 0));
        try
        {
            program(group);
        }
        catch (Exception failure) when (Tell(host, failure))
        {
            // Told before the group is left, as when a program runs for real.
        }
    }

    private static bool Tell(ProcessGroup host, Exception failure)
    {
        host.Failures!.Fail($"Rank {host.Rank} failed: {failure.Message}");
        return false;
    }
}
