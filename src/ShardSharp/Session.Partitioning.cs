using ShardSharp.Activations;
using ShardSharp.Checkpoints;
using ShardSharp.Modules;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    private readonly Dictionary<nn.Module, int> _stages = new(ReferenceEqualityComparer.Instance);

    /// <summary>
    /// Modules that this thread creates until the result is disposed belong to a stage of the pipeline (SMP: <c>smp.partition</c>); the innermost
    /// scope counts. Counts with <c>auto_partition</c> = false alone.
    /// </summary>
    /// <remarks>Modules are known by the parameters that they make; those without parameters stay with the module before them.</remarks>
    /// <param name="stage">The stage, 0 to <c>pipeline_parallel_degree</c> - 1.</param>
    /// <returns>The scope; dispose it on the same thread.</returns>
    /// <exception cref="PlatformNotSupportedException">This is for Linux x64; elsewhere use the other overload, or
    /// <see cref="SetPartition"/>.</exception>
    public IDisposable Partition(int stage)
    {
        RequireStage(stage);
        return Configuration.AutoPartition ? new NoScope() : new CreationScope(_stages, stage);
    }

    /// <summary>
    /// Creates a module that belongs to a stage of the pipeline, with all that it holds but for what is put elsewhere in turn (SMP:
    /// <c>smp.partition</c>). Counts with <c>auto_partition</c> = false alone.
    /// </summary>
    /// <typeparam name="TModule">The module's type.</typeparam>
    /// <param name="stage">The stage, 0 to <c>pipeline_parallel_degree</c> - 1.</param>
    /// <param name="create">Creates it. What <c>Partition</c> creates inside keeps its own stage.</param>
    /// <returns>The module.</returns>
    public TModule Partition<TModule>(int stage, Func<TModule> create)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        RequireStage(stage);
        var module = create();
        _stages.TryAdd(module, stage);
        return module;
    }

    /// <summary>Puts a module on a stage of the pipeline (SMP: <c>smp.set_partition</c>). Counts with <c>auto_partition</c> = false alone.</summary>
    /// <param name="module">The module; all that it holds goes with it, but for what is put elsewhere.</param>
    /// <param name="stage">The stage, 0 to <c>pipeline_parallel_degree</c> - 1.</param>
    public void SetPartition(nn.Module module, int stage)
    {
        ArgumentNullException.ThrowIfNull(module);
        RequireStage(stage);
        _stages[module] = stage;
    }

    /// <summary>
    /// Cuts a model into the stages of the pipeline, as the configuration says. Every rank calls it; the first one decides, prints the decision,
    /// and writes it to <c>pipeline_partition_file</c> if that does not exist.
    /// </summary>
    /// <param name="model">The model, before anything puts hooks on it that change what its modules take or return.</param>
    /// <param name="microbatch">A microbatch of this rank; null to go by the parameters alone.</param>
    /// <param name="forward">Calls the model with the tensors of a microbatch; null calls it with as many as it takes.</param>
    /// <param name="stages">How many stages, where ranks have several; null for one a rank.</param>
    internal PipelineCut CutModel(
        nn.Module model, IReadOnlyList<Tensor>? microbatch, Action<IReadOnlyList<Tensor>>? forward = null, int? stages = null)
    {
        NoteStages(model);
        var file = Configuration.PipelinePartitionFile;
        var given = IsFirstRank && file is not null && File.Exists(file) ? File.ReadAllText(file) : null;
        var cut = ModelPartitioner.Cut(
            model,
            microbatch ?? [],
            new PartitionRequest
            {
                Stages = stages ?? Configuration.PipelineParallelDegree,
                MemoryWeight = Configuration.EffectiveMemoryWeight,
                StageBytes = Configuration.StageMemoryLimitMegabytes is { } limit ? (long)(limit * 1024 * 1024) : null,
                SplitTied = Configuration.SplitTiedParameters,
                SkipTracing = Configuration.SkipTracing || microbatch is null,
                Fixed = given,
                Saved = _savedPartitions?.Of(_models.Count(known => !known.IsDisposed)),
                Manual = Configuration.AutoPartition ? null : new ManualPartition(
                    _stages,
                    Configuration.PartitionPatterns is { } patterns ? PartitionPatterns.TryParse(patterns)! : PartitionPatterns.None,
                    Configuration.DefaultPartition ?? 0),
                Whole = Checkpointed(model),
                Forward = forward,
            },
            Groups.World,
            _construction);
        if (!IsFirstRank)
            return cut;
        Console.WriteLine(cut.Partition);
        if (file is not null && given is null)
            AtomicFile.Write(file, System.Text.Encoding.UTF8.GetBytes(PipelinePartitionFile.Format(cut.Partition)));
        return cut;
    }

    /// <summary>The modules that the configuration has checkpointed, whose calls count.</summary>
    private HashSet<nn.Module> Checkpointed(nn.Module model)
    {
        var runs = Configuration.ActivationCheckpointing is { } names ? ModuleSelection.Runs(model, names) : [];
        return runs.SelectMany(run => run).Select(named => named.Module).ToHashSet<nn.Module>(ReferenceEqualityComparer.Instance);
    }

    /// <summary>Takes note of the modules that were created in scopes, while their parameters are where they were made.</summary>
    private void NoteStages(nn.Module model)
    {
        foreach (var (module, stage) in CreationScope.Created(model, _stages))
            _stages.TryAdd(module, stage);
    }

    /// <summary>What takes the place of a module is on its stage.</summary>
    private void MoveStage(nn.Module module, nn.Module replacement)
    {
        if (_stages.TryGetValue(module, out var stage))
            _stages.TryAdd(replacement, stage);
    }

    private void RequireStage(int stage)
    {
        if (stage < 0 || stage >= Configuration.PipelineParallelDegree)
        {
            throw new ArgumentOutOfRangeException(
                nameof(stage), stage, $"With pipeline_parallel_degree = {Configuration.PipelineParallelDegree}, stages are 0 to {Configuration.PipelineParallelDegree - 1}.");
        }
    }

    private sealed class NoScope : IDisposable
    {
        public void Dispose()
        {
        }
    }
}
