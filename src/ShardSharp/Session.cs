using System.Runtime.CompilerServices;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Pipeline;
using ShardSharp.Precision;
using ShardSharp.TensorParallel;
using ShardSharp.TensorParallel.Layers;
using ShardSharp.Topology;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using CallSite = ShardSharp.Communication.CallSite;

namespace ShardSharp;

/// <summary>One rank's part of a run: who it is, the groups it belongs to, and the way to distributed models, optimizers and data.</summary>
/// <remarks>
/// <see cref="ModelParallel.Launch"/> creates one for every rank. It belongs to one
/// thread. There is no current session: what needs one is given it, which is what lets ranks be threads of one process.
/// </remarks>
public sealed partial class Session : IDisposable
{
    private readonly Lock _construction;

    /// <param name="loaded">The configuration in force.</param>
    /// <param name="world">The group of all ranks, owned from now on.</param>
    /// <param name="place">Rank and size among the ranks of this host.</param>
    /// <param name="construction">Held while a model is built; shared by the ranks of a process, which share a random generator.</param>
    /// <param name="site">Where the program asked for it.</param>
    /// <param name="device">Where the rank computes; the CPU if null.</param>
    internal Session(
        LoadedConfiguration loaded, ProcessGroup world, (int Rank, int Size) place, Lock construction, CallSite site, Device? device = null)
    {
        (Loaded, _construction, Device) = (loaded, construction, device ?? CPU);
        Layout = new RankLayout(
            world.Size, Configuration.PipelineParallelDegree, Configuration.TensorParallelDegree,
            PlacementStrategy.Parse(Configuration.PlacementStrategy));
        Position = Layout.PositionOf(world.Rank) with { LocalRank = place.Rank, LocalSize = place.Size };
        Groups = new SessionGroups(world, Layout, Configuration, site);
        GiveOwnRandomNumbers();
    }

    /// <summary>The configuration in force.</summary>
    public ParallelConfiguration Configuration => Loaded.Configuration;

    /// <summary>The configuration with where each value came from, and the program's own arguments.</summary>
    public LoadedConfiguration Loaded { get; }

    /// <summary>The program's arguments without those that ShardSharp understood.</summary>
    public IReadOnlyList<string> Arguments => Loaded.ProgramArguments;

    /// <summary>How the ranks are laid out over the axes of parallelism.</summary>
    public RankLayout Layout { get; }

    /// <summary>This rank's place in every group.</summary>
    public RankPosition Position { get; }

    /// <summary>The groups that this rank belongs to.</summary>
    public SessionGroups Groups { get; }

    /// <summary>World rank, from 0.</summary>
    public int Rank => Position.Rank;

    /// <summary>Number of ranks.</summary>
    public int Size => Position.Size;

    /// <summary>Whether this is rank 0, which prints and writes what only one should.</summary>
    public bool IsFirstRank => Rank == 0;

    /// <summary>Where this rank computes: its GPU with <c>backend = nccl</c>, else the CPU.</summary>
    public Device Device { get; }

    /// <summary>How often all ranks of this run have been started again after a failure (<c>max_restarts</c>); 0 at first.</summary>
    public int RestartCount { get; internal init; }

    /// <summary>Builds a model on every rank and makes the copies one.</summary>
    /// <typeparam name="TModule">The module's type.</typeparam>
    /// <param name="create">Builds the module, on the CPU; it is moved to <see cref="Device"/> then. It runs after
    /// <c>manual_seed(Configuration.Seed)</c>, so any number of ranks begins with the same parameters as one.</param>
    /// <param name="isUnit">
    /// Which modules are units of sharded data parallelism, by their names in the model, such as <c>blocks.0</c>: the parameters of a unit are
    /// gathered and reduced together, and those outside of all units are one more. Null chooses the members of lists, such as the blocks of a
    /// transformer, and the modules beside them.
    /// </param>
    /// <param name="plan">
    /// Makes the plan by which tensor parallelism spreads the module (<c>tensor_parallel_degree</c>); null takes that of an
    /// <see cref="ITensorParallelModule"/>, and an automatic one for other modules.
    /// </param>
    /// <param name="example">
    /// Makes an example of what the module is called with, of the size of a microbatch: in a pipeline the module is run once with it to find its
    /// parts and what they cost. Null for a Sequential or an <see cref="Pipeline.IPipelineModel"/>, which is then cut by its parameters alone.
    /// </param>
    /// <returns>The model, which owns the module.</returns>
    /// <exception cref="ArgumentException">
    /// <paramref name="isUnit"/> chose a module that is never called, such as a list; or the module cannot be cut into the stages of the pipeline, and
    /// the message says what would help.
    /// </exception>
    /// <exception cref="TensorParallelException">The plan does not fit the module; it says where, and what would work.</exception>
    public DistributedModel<TModule> DistributedModel<TModule>(
        Func<TModule> create, Func<string, bool>? isUnit = null, Func<TModule, TensorParallelPlan>? plan = null,
        Func<IReadOnlyList<Tensor>>? example = null)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        return Create(create, isUnit, plan, example);
    }

    /// <summary>The same for a model that takes tuples, records, dictionaries or lists of tensors.</summary>
    /// <param name="create">As above.</param>
    /// <param name="example">
    /// Makes an example of what the module is called with: its argument, or a tuple of its arguments, of the size of a microbatch. In a pipeline the
    /// module is run once with it to find its parts and what they cost; elsewhere it is not used.
    /// </param>
    /// <param name="isUnit">As above.</param>
    /// <param name="plan">As above.</param>
    /// <inheritdoc cref="DistributedModel{TModule}(Func{TModule}, Func{string, bool}, Func{TModule, TensorParallelPlan}, Func{IReadOnlyList{Tensor}})"/>
    public DistributedModel<TModule> DistributedModel<TModule>(
        Func<TModule> create, Func<object> example, Func<string, bool>? isUnit = null, Func<TModule, TensorParallelPlan>? plan = null)
        where TModule : nn.Module
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(example);
        return Create(create, isUnit, plan, example);
    }

    private DistributedModel<TModule> Create<TModule>(
        Func<TModule> create, Func<string, bool>? isUnit, Func<TModule, TensorParallelPlan>? plan, Func<object>? example)
        where TModule : nn.Module
    {
        if (!Configuration.DelayedParameterInitialization)
        {
            var built = Build(create);
            return Distribute(built, isUnit, Divide(built, plan, example));
        }

        using var delayed = new DelayedConstruction(Configuration.DelayedInitializationFolder);
        var module = Build(() => delayed.Build(create));
        var division = Divide(module, plan, example);
        if (!Configuration.HasUnits && Device.type == DeviceType.CPU)
            delayed.MoveToMemory();
        var model = Distribute(module, isUnit, division);
        delayed.MoveToMemory();
        return model;
    }

    /// <summary>Creates an optimizer for a distributed model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="create">Creates any TorchSharp optimizer over the parameters that this rank holds.</param>
    /// <param name="fused">Whether Adam, AdamW and SGD update all parameters of a group by one fused kernel, which is faster, needs no
    /// temporaries, and differs from TorchSharp's own step by rounding only.</param>
    /// <param name="lossScaling">By what float16 training (<c>fp16</c>) multiplies the loss; <see cref="LossScaling.Dynamic"/> if null. Only
    /// for float16 training.</param>
    /// <returns>The optimizer, to be used like the one that was created.</returns>
    /// <exception cref="ArgumentException">
    /// The model belongs to another rank of this process, the optimizer's parameters are not those that it was passed, or the loss is not to
    /// be scaled so.
    /// </exception>
    /// <exception cref="NotSupportedException">The optimizer cannot work on pieces of parameters.</exception>
    public DistributedOptimizer DistributedOptimizer(
        DistributedModel model, Func<IEnumerable<Parameter>, optim.Optimizer> create, bool fused = true, LossScaling? lossScaling = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(create);
        if (!model.ReducesOver(Groups.ReducedData))
            throw new ArgumentException($"The model belongs to another session than rank {Rank}'s; each rank builds its own.", nameof(model));
        var optimizer = ShardSharp.DistributedOptimizer.Over(model, create(model.Parameters), fused, lossScaling);
        _optimizers.Add(optimizer);
        return optimizer;
    }

    /// <summary>The mean of a number over the ranks that see different samples; every rank calls it and gets the same.</summary>
    /// <param name="value">This rank's number, such as the loss of its part of the batch.</param>
    /// <param name="file">Filled in by the compiler, for error reports.</param>
    /// <param name="line">Filled in by the compiler, for error reports.</param>
    public double MeanOverDataRanks(double value, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        Span<double> values = [value];
        Groups.Data.AllReduce(values, ReduceOperation.Mean, file, line);
        return values[0];
    }

    /// <summary>Prints metrics on rank 0, each as its mean over the ranks that see different samples; every rank calls it.</summary>
    /// <param name="metrics">Names and this rank's values, the same names in the same order on every rank.</param>
    public void Report(params ReadOnlySpan<(string Name, double Value)> metrics)
    {
        var values = new double[metrics.Length];
        for (var i = 0; i < values.Length; i++)
            values[i] = metrics[i].Value;

        // Optional parameters cannot follow any number of metrics, so the compiler has no place for the line.
        Groups.Data.AllReduce(values.AsSpan(), ReduceOperation.Mean, "Session.Report", 0);
        if (!IsFirstRank)
            return;
        var line = new System.Text.StringBuilder();
        for (var i = 0; i < values.Length; i++)
            line.Append(System.Globalization.CultureInfo.InvariantCulture, $"{(i == 0 ? "" : "  ")}{metrics[i].Name} {values[i]:G6}");
        Console.WriteLine(line);
    }

    /// <summary>Divides a model over tensor-parallel ranks and into the stages of a pipeline.</summary>
    private ModelDivision Divide<TModule>(TModule module, Func<TModule, TensorParallelPlan>? plan, Func<object>? example)
        where TModule : nn.Module
    {
        var isDistributed = ReplaceModules(module);
        if (isDistributed && plan is not null)
        {
            throw new TensorParallelException(
                $"A {typeof(TModule).Name} has distributed modules, which are spread over ranks already. Leave its plan out.");
        }

        var cut = Cut(module, example);
        var tensor = isDistributed ? null : TensorParallelize(module, plan);

        // While the parameters of other stages are there.
        var layouts = tensor?.Layouts ?? DistributedModules.LayoutsOf(module);
        return new ModelDivision(tensor, layouts, TakeStages(module, cut));
    }

    private DistributedModel<TModule> Distribute<TModule>(TModule module, Func<string, bool>? isUnit, ModelDivision division)
        where TModule : nn.Module
    {
        var isElsewhere = Device.type != DeviceType.CPU;
        if (isElsewhere && !Configuration.HasUnits)
            DeviceMove.Apply(module, Device);
        var model = new DistributedModel<TModule>(module, Configuration, Groups, Device, isUnit, division)
        {
            StepEnded = Configuration.MemoryReport ? PrintMemory : null,
        };

        // Units took their parameters to the GPU themselves, a slice each.
        if (isElsewhere && Configuration.HasUnits)
            DeviceMove.Apply(module, Device);
        if (IsFirstRank)
            model.ReportActivationPlan(Console.WriteLine);
        model.Recomputation.SharesRandomNumbers = SharesRandomNumbers;
        _models.Add(model);
        return model;
    }

    private TModule Build<TModule>(Func<TModule> create)
    {
        lock (_construction)
        {
            manual_seed(Configuration.Seed);
            var built = create();
            if (built is nn.Module module)
            {
                NoteStages(module);
                NoteTensorParallelism(module);
            }

            return built;
        }
    }

    /// <summary>Leaves all groups. A checkpoint that is written in the background is completed first.</summary>
    public void Dispose()
    {
        EndSaving();
        _products?.Dispose();
        _ownGenerator?.Dispose();
        Groups.Dispose();
    }
}
