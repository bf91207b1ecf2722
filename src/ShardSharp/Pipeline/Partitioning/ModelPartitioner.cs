using System.Runtime.ExceptionServices;
using ShardSharp.Communication;
using ShardSharp.Pipeline.Tracing;
using static TorchSharp.torch;

namespace ShardSharp.Pipeline.Partitioning;

/// <summary>Cuts a model into stages, the same on all ranks.</summary>
internal static class ModelPartitioner
{
    /// <summary>Finds a model's parts, and which stage each is on. Every rank of the group calls it; the first one measures and decides.</summary>
    /// <param name="model">The model, whole on every rank, before anything puts hooks on it that change what its modules take or return.</param>
    /// <param name="microbatch">A microbatch of this rank.</param>
    /// <param name="request">How to cut it.</param>
    /// <param name="ranks">The ranks that are to agree.</param>
    /// <param name="gate">Held while the model runs: ranks of one process share its random generator.</param>
    /// <exception cref="ArgumentException">The model cannot be cut so; the message says where it can be, and how to change that.</exception>
    public static PipelineCut Cut(nn.Module model, IReadOnlyList<Tensor> microbatch, PartitionRequest request, ProcessGroup ranks, Lock gate)
    {
        ModelChain? chain = null;
        Decision? decision = null;
        ExceptionDispatchInfo? failure = null;
        try
        {
            lock (gate)
            {
                (chain, var breaks) = Parts(model, microbatch, request);
                if (ranks.Rank == 0)
                    decision = Decide(chain, model, microbatch, breaks, request);
            }
        }
        catch (Exception thrown)
        {
            // The others must not wait for what will not come.
            failure = ExceptionDispatchInfo.Capture(thrown);
            decision = new Decision([], [], thrown.Message);
        }

        decision = ranks.BroadcastObject(decision!, root: 0);
        failure?.Throw();
        if (decision.Refusal is { } refusal)
            throw new ArgumentException(refusal, nameof(model));
        RequireSame(decision.Layers, chain!, "on this rank", "on the first rank of the pipeline");
        return new PipelineCut(chain!, PipelinePartition.Of(decision.Layers, decision.Counts, request.MemoryWeight));
    }

    private static Decision Decide(
        ModelChain chain, nn.Module model, IReadOnlyList<Tensor> microbatch, IReadOnlyList<ChainBreak> breaks, PartitionRequest request)
    {
        if (request is { Fixed: null, Manual: null, Saved: { } saved } && Fits(saved, chain, model, request))
            request = request with { Fixed = saved };

        // A partition from elsewhere knows what it was measured with.
        var costs = request.SkipTracing || request.Stages == 1 || request.Fixed is not null
            ? PartCosts.OfParameters(chain, model) : PartCosts.Measure(chain, model, microbatch);
        var partition = Decide(chain, model, costs, breaks, request);
        return new Decision([.. partition.Layers], [.. partition.Stages.Select(stage => stage.Count)], Refusal: null);
    }

    private static (ModelChain Chain, IReadOnlyList<ChainBreak> Breaks) Parts(nn.Module model, IReadOnlyList<Tensor> microbatch, PartitionRequest request)
    {
        if (!request.SkipTracing)
            return ModelChains.Trace(model, microbatch, request.Forward, request.Whole);
        return (ModelChains.List(model, request.Whole) ?? throw new ArgumentException(
            $"{model.GetName()} does not list its parts, so it has to be run to find them: set skip_tracing to false, make it a Sequential, or have it "
            + "implement IPipelineModel with parts that take and return one tensor.", nameof(model)), []);
    }

    private static PipelinePartition Decide(
        ModelChain chain, nn.Module model, IReadOnlyList<LayerCost> costs, IReadOnlyList<ChainBreak> breaks, PartitionRequest request)
    {
        PipelinePartition partition;
        if (request.Fixed is { } text)
        {
            partition = PipelinePartitionFile.Parse(text, request.MemoryWeight);
            RequireSame(partition.Layers, chain, "in the model", "in the partition that was given");
            if (partition.Stages.Count != request.Stages)
                throw new ArgumentException($"The partition that was given has {partition.Stages.Count} stages; pipeline_parallel_degree asks for {request.Stages}.", nameof(request));

            partition = WithShared(partition, costs);
        }
        else if (request.Manual is { } manual)
        {
            partition = PipelinePartition.Of(costs, Counts(manual.StagesOf(chain, model, request.Stages), request.Stages), request.MemoryWeight);
        }
        else
        {
            return Automatic(costs, breaks, request);
        }

        return !request.SplitTied && TiedParameter.Of(partition) is [var tied, ..]
            ? throw new ArgumentException(
                $"'{tied.Name}' is used on stages {string.Join(" and ", tied.Stages)}. Put what shares it on one stage, or allow stages to keep copies "
                + "of it the same: split_tied_parameters = true.", nameof(request))
            : partition;
    }

    /// <summary>Which parameters are shared is a fact of the model, not of a file.</summary>
    private static PipelinePartition WithShared(PipelinePartition partition, IReadOnlyList<LayerCost> costs) =>
        partition with { Layers = [.. partition.Layers.Zip(costs, (layer, cost) => layer with { SharedParameters = cost.SharedParameters })] };

    /// <summary>Whether this run could have decided what another one did: the same parts in as many stages, and within the same limits.</summary>
    private static bool Fits(string text, ModelChain chain, nn.Module model, PartitionRequest request)
    {
        var saved = PipelinePartitionFile.Parse(text, request.MemoryWeight);
        if (saved.Stages.Count != request.Stages || !saved.Layers.Select(layer => layer.Name).SequenceEqual(chain.Parts.Select(part => part.Name)))
            return false;
        var tied = request.SplitTied ? [] : TiedParameter.Of(WithShared(saved, PartCosts.OfParameters(chain, model)));
        return tied.Count == 0 && saved.Stages.All(stage => stage.Bytes <= (request.StageBytes ?? long.MaxValue));
    }

    private static PipelinePartition Automatic(IReadOnlyList<LayerCost> costs, IReadOnlyList<ChainBreak> breaks, PartitionRequest request)
    {
        // Without the names, the partitioner may cut between any two; the names then tell which parameters are tied.
        var free = request.SplitTied ? [.. costs.Select(cost => cost with { SharedParameters = [] })] : costs;
        try
        {
            return PipelinePartitioner.Partition(free, request.Stages, request.MemoryWeight, request.StageBytes) with { Layers = costs };
        }
        catch (ArgumentException failure)
        {
            var tied = request.SplitTied ? [] : costs.SelectMany(cost => cost.SharedParameters).Distinct(StringComparer.Ordinal).ToArray();
            var split = tied.Length == 0 ? "" : $" With split_tied_parameters = true, stages may share {string.Join(", ", tied.Select(name => $"'{name}'"))}.";
            throw new ArgumentException($"{failure.Message}{split}{ChainBreak.Explain(breaks)}", nameof(request), failure);
        }
    }

    private static int[] Counts(IReadOnlyList<int> stages, int count) => [.. Enumerable.Range(0, count).Select(stage => stages.Count(one => one == stage))];

    private static void RequireSame(IReadOnlyList<LayerCost> layers, ModelChain chain, string here, string there)
    {
        for (var i = 0; i < Math.Max(layers.Count, chain.Parts.Count); i++)
        {
            var (mine, other) = (chain.Parts.ElementAtOrDefault(i)?.Name, layers.ElementAtOrDefault(i)?.Name);
            if (mine != other)
            {
                throw new ArgumentException(
                    $"Part {i} {here} is {Named(mine)}; {there} it is {Named(other)}. The parts of a model and their order must be the same.", nameof(chain));
            }
        }

        static string Named(string? name) => name is null ? "none" : $"'{name}'";
    }

    /// <summary>What the first rank tells the others.</summary>
    private sealed record Decision(LayerCost[] Layers, int[] Counts, string? Refusal);
}
