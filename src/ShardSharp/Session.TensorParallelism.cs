using ShardSharp.DataParallel;
using ShardSharp.TensorParallel;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>Spreads a model that was built the same on every rank over the tensor-parallel ranks; nothing with a degree of 1.</summary>
    private TensorParallelModule? TensorParallelize<TModule>(TModule module, Func<TModule, TensorParallelPlan>? plan)
        where TModule : nn.Module
    {
        if (ReplaceModules(module))
        {
            return plan is null ? null : throw new TensorParallelException(
                $"A {typeof(TModule).Name} has distributed modules, which are spread over ranks already. Leave its plan out.");
        }

        if (Configuration.TensorParallelDegree == 1)
            return null;
        if (!Configuration.PrescaledBatch)
        {
            throw new NotSupportedException(
                "Tensor parallelism by a plan gives all ranks of a tensor-parallel group the same samples. Set prescaled_batch to true; "
                + "session.Shard then does so.");
        }

        var chosen = plan is not null ? plan(module)
            : module is ITensorParallelModule known ? known.TensorParallelPlan
            : throw new TensorParallelException(
                $"tensor_parallel_degree is {Configuration.TensorParallelDegree}, but nothing says how a {module.GetType().Name} is spread over "
                + "ranks. Pass plan to session.DistributedModel, or let the module implement ITensorParallelModule.");

        // A program whose ranks build different models is told so by nobody else: each takes its own part.
        var ranks = new ReplicaSynchronizer(module, Groups.Tensor);
        ranks.BroadcastParameters();
        ranks.BroadcastBuffers();
        return new TensorParallelModule(PlanApplication.Apply(module, chosen, Groups.Tensor));
    }
}
