using ShardSharp.DataParallel;
using ShardSharp.Native;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Automatic;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>Spreads a model that was built the same on every rank over the tensor-parallel ranks; nothing with a degree of 1.</summary>
    private TensorParallelModule? TensorParallelize<TModule>(TModule module, Func<TModule, TensorParallelPlan>? plan)
        where TModule : nn.Module
    {
        if (Configuration.TensorParallelDegree == 1)
            return null;
        if (!Configuration.PrescaledBatch)
        {
            throw new NotSupportedException(
                "Tensor parallelism by a plan gives all ranks of a tensor-parallel group the same samples. Set prescaled_batch to true; "
                + "session.Shard then does so.");
        }

        // Ranks that built different models would each take a part of its own one, and nobody would notice. Copies are made equal here as well,
        // since the plan is tried on what they are now.
        var ranks = new ReplicaSynchronizer(module, Groups.Data);
        ranks.BroadcastParameters();
        ranks.BroadcastBuffers();
        var chosen = plan is not null ? plan(module)
            : OptimizedPlan(module, module is ITensorParallelModule known
                ? known.TensorParallelPlan
                : TensorParallelPlan.Automatic(module, Configuration.TensorParallelDegree));

        // A model that is built in a file because it does not fit in memory is not computed with before it is divided, and of one that is cut into
        // stages no rank can compute all.
        var isTried = !Configuration.DelayedParameterInitialization && Configuration.PipelineParallelDegree == 1;
        var example = isTried ? ModelExample.Of(module, Configuration.TensorParallelDegree) : null;
        var spread = new TensorParallelModule(module, chosen, Groups.Tensor, example);

        // The other ranks' parts were here, too.
        if (OperatingSystem.IsLinux() && TensorAllocator.Install())
            GlibcHeap.ReturnFreedMemory();
        return spread;
    }

    /// <summary>A module's own plan or an automatic one, with sequence parallelism where memory is what counts and the plan can.</summary>
    private TensorParallelPlan OptimizedPlan(nn.Module module, TensorParallelPlan plan) =>
        Configuration.Optimize == OptimizationGoal.Memory && PlanApplication.CanDivideSequences(module, plan) ? plan.WithSequenceParallelism() : plan;
}
