using System.Runtime.InteropServices;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.Native;
using ShardSharp.Pipeline.Partitioning;
using ShardSharp.Pipeline.Schedules;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Runtime;

/// <summary>A model whose chain of parts is cut into the stages of a pipeline.</summary>
internal sealed class CutModel
{
    private readonly IReadOnlyList<ChainPart>[] _stages;
    private readonly ModelChain _chain;

    /// <param name="root">The model.</param>
    /// <param name="cut">Its parts, and which stage each is on.</param>
    /// <param name="placement">Which rank of the pipeline runs which stages.</param>
    /// <param name="rank">This rank of the pipeline.</param>
    public CutModel(nn.Module root, PipelineCut cut, StagePlacement placement, int rank)
    {
        (Root, Partition, Placement, Rank, _chain) = (root, cut.Partition, placement, rank, cut.Chain);
        _stages = [.. Enumerable.Range(0, placement.Stages).Select(cut.PartsOf)];
        var mine = placement.StagesOf(rank).SelectMany(stage => _stages[stage]).ToArray();
        Held = PartialModule.Select(root, mine.SelectMany(part => part.Modules), mine.SelectMany(part => part.Holders));
    }

    /// <summary>The whole model.</summary>
    public nn.Module Root { get; }

    /// <summary>Its parts, what they cost, and which stage each is on.</summary>
    public PipelinePartition Partition { get; }

    /// <summary>Which rank of the pipeline runs which stages.</summary>
    public StagePlacement Placement { get; }

    /// <summary>This rank of the pipeline.</summary>
    public int Rank { get; }

    /// <summary>What this rank's stages hold of the model.</summary>
    public PartialModule Held { get; }

    /// <summary>The ranks that share this rank's stages, and communicate when these compute; null where it has all of them.</summary>
    public ProcessGroup? Sharers { get; init; }

    /// <summary>The last stage.</summary>
    public int Last => Placement.Stages - 1;

    /// <summary>The parameters of a stage.</summary>
    public IEnumerable<Parameter> ParametersOf(int stage) =>
        _stages[stage].SelectMany(part => part.Parameters).Distinct<Parameter>(ReferenceEqualityComparer.Instance);

    /// <summary>The modules that a stage calls.</summary>
    public IEnumerable<nn.Module> ModulesOf(int stage) => _stages[stage].SelectMany(part => part.Modules);

    /// <summary>Bytes of the gradients of this rank's parameters, as far as the allocator counts them.</summary>
    public long GradientBytes => TensorBytes.OfCountedGradients(Held.parameters());

    /// <summary>The stage that calls a module, or what holds it; null where stages call only parts of it.</summary>
    public int? StageOf(nn.Module module)
    {
        for (var stage = 0; stage < Placement.Stages; stage++)
        {
            if (ModulesOf(stage).SelectMany(part => ModuleTree.Walk(part)).Any(below => ReferenceEquals(below.Module, module)))
                return stage;
        }

        return null;
    }

    /// <summary>How often the gradients of a stage's parameters have been written to; -1 for those that are not there.</summary>
    public long[] GradientVersions(int stage) =>
    [
        .. ParametersOf(stage).Select(parameter =>
        {
            using var gradient = parameter.grad;
            return gradient is null ? -1 : TensorVersion.Of(gradient);
        }),
    ];

    /// <summary>The ranks of the pipeline whose stages use a parameter.</summary>
    public int[] RanksOf(Parameter parameter) =>
    [
        .. Enumerable.Range(0, Placement.Stages).Where(stage => ParametersOf(stage).Contains(parameter, ReferenceEqualityComparer.Instance))
            .Select(Placement.RankOf).Distinct().Order(),
    ];

    /// <summary>Computes a stage.</summary>
    /// <param name="stage">One of this rank's.</param>
    /// <param name="inputs">What the stage before returned; nothing for the first.</param>
    /// <param name="microbatch">The tensors of the microbatch that the model is called with.</param>
    /// <exception cref="InvalidOperationException">A module writes to what another stage sent.</exception>
    public IReadOnlyList<Tensor> Run(int stage, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> microbatch)
    {
        var passed = inputs;
        foreach (var part in _stages[stage])
        {
            try
            {
                passed = part.Run(passed, microbatch);
            }
            catch (ExternalException refused) when (refused.Message.Contains("leaf Variable that requires grad", StringComparison.Ordinal))
            {
                throw new InvalidOperationException(
                    $"'{part.Name}' on stage {stage} writes in place to a tensor that begins a graph, as what another stage sent does: {refused.Message.Split('\n')[0]} "
                    + "Let it not work in place, or put it on the stage of the module before it. Given an example, session.DistributedModel keeps the two together.",
                    refused);
            }
        }

        return passed;
    }

    /// <summary>What the model returns, such as a record, of the tensors that its last stage gives.</summary>
    public object? OutputOf(IReadOnlyList<Tensor> tensors) => _chain.Output(tensors);

    /// <summary>Refuses arguments that are put together in another way than those that the model was traced with.</summary>
    public void RequireInputs(StructuredTensors inputs)
    {
        var traced = _chain.Takes ?? inputs.Structures;
        for (var i = 0; i < traced.Count; i++)
        {
            if (traced[i].DifferenceTo(inputs.Structures[i]) is { } difference)
            {
                throw new ArgumentException(
                    $"Argument {i} of the model differs from that of the example which it was cut with: {difference}. Stages get the tensors alone; give "
                    + "session.DistributedModel an example like the batches, and put what changes into tensors.", nameof(inputs));
            }
        }
    }

    /// <summary>Lets go of the parameters and buffers that only other ranks' stages use: they stay in the modules, and are empty.</summary>
    public void ReleaseOthers()
    {
        var held = ModuleTree.TensorsOf(Held).ToHashSet<Tensor>(ReferenceEqualityComparer.Instance);
        using var _ = no_grad();
        foreach (var tensor in ModuleTree.TensorsOf(Root).Where(tensor => !held.Contains(tensor)))
        {
            using var nothing = empty(0, dtype: tensor.dtype, device: tensor.device);
            TensorData.Set(tensor, nothing);
        }
    }
}
