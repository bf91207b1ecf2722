namespace ShardSharp.Topology;

/// <summary>
/// What a configuration may ask for beyond replicated data parallelism, and whether it has landed. A key that asks for a feature that has
/// not is rejected; landing a feature is changing its line here.
/// </summary>
internal sealed record Feature(string Name, bool HasLanded)
{
    public static readonly Feature PipelineParallelism = new("pipeline parallelism", HasLanded: false);
    public static readonly Feature TensorParallelism = new("tensor parallelism", HasLanded: true);
    public static readonly Feature Float16Layers = new("tensor-parallel layers made in float16", HasLanded: false);
    public static readonly Feature ShardedDataParallelism = new("sharded data parallelism", HasLanded: true);
    public static readonly Feature GradientClipping = new("gradient clipping", HasLanded: true);
    public static readonly Feature OptimizerStateSharding = new("optimizer state sharding", HasLanded: true);
    public static readonly Feature ContextParallelism = new("context parallelism", HasLanded: false);
    public static readonly Feature ExpertParallelism = new("expert parallelism", HasLanded: false);
    public static readonly Feature ActivationOffloading = new("activation offloading", HasLanded: false);
    public static readonly Feature Float16Training = new("float16 training", HasLanded: true);
    public static readonly Feature BFloat16Training = new("bfloat16 training", HasLanded: true);
    public static readonly Feature DelayedInitialization = new("delayed parameter initialisation", HasLanded: true);
    public static readonly Feature MpiBackend = new("the MPI backend", HasLanded: true);
    public static readonly Feature NcclBackend = new("the NCCL backend", HasLanded: true);
    public static readonly Feature NetworkRendezvous = new("rendezvous over a network port", HasLanded: false);
}
