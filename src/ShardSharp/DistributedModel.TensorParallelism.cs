using ShardSharp.Communication;
using ShardSharp.DataParallel;
using ShardSharp.Modules;
using ShardSharp.TensorParallel;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp;

public abstract partial class DistributedModel
{
    private readonly ProcessGroup _tensorRanks;

    /// <summary>How the model is spread over tensor-parallel ranks; null where it is not.</summary>
    public TensorParallelModule? TensorParallelism { get; }

    /// <summary>Which part of each parameter of the whole model this rank's is, by its name in the model.</summary>
    internal ParameterLayouts Layouts { get; }

    /// <summary>Mean cross-entropy in nats, in float32, of the logits that the model returns, on any layout of ranks.</summary>
    /// <param name="logits">[.., vocabulary], or this rank's part where the plan of tensor parallelism keeps logits divided.</param>
    /// <param name="labels">[..] of int64.</param>
    /// <param name="options">Which labels do not count, and what is added to the loss; the defaults if null.</param>
    /// <returns>The mean over the labels that count; NaN if none does.</returns>
    public Tensor CrossEntropy(Tensor logits, Tensor labels, CrossEntropyOptions? options = null) =>
        TensorParallelism?.CrossEntropy(logits, labels, options, IsLastBackward)
        ?? VocabularyParallelLoss.CrossEntropy(logits, labels, group: null, vocabulary: null, options, IsLastBackward);

    /// <summary>The ranks besides <see cref="Shards"/> among which gradients are divided; null where each rank has all.</summary>
    internal ProcessGroup? TensorRanks => _tensorRanks.Size > 1 ? _tensorRanks : null;

    /// <summary>
    /// The gradient of a parameter, in parts that different numbers of ranks of one copy of the model have, each with that number. Parts are views,
    /// which the caller disposes.
    /// </summary>
    internal IEnumerable<(Tensor Gradient, int Holders)> HeldParts(string name, Parameter parameter, Tensor gradient)
    {
        var (pipeline, layout) = (CopiesInPipeline(name), Layouts.Of(name, parameter));
        if (!layout.HasMixedCopies)
            return [(gradient, pipeline * (layout.IsWhole ? _tensorRanks.Size : layout.Copies))];
        var start = _engine.Owned.First(owned => ReferenceEquals(owned.Parameter, parameter)).Start;
        var flat = gradient.reshape(-1);
        return layout.RunsOf(start, flat.shape[0]).Select(run => (flat.narrow(0, run.Start - start, run.Count), pipeline * run.Copies));
    }

    /// <summary>Whether the ranks of a tensor-parallel group see different samples.</summary>
    private bool HasOwnSamples => TensorRanks is not null && !Configuration.PrescaledBatch;

    /// <summary>
    /// Averages the gradients of what is whole over ranks that saw different samples, as all ranks' data-parallel average needs. Those of
    /// divided parameters come from the samples of all.
    /// </summary>
    private void AverageOverTensorRanks()
    {
        if (!HasOwnSamples)
            return;
        Parameter[] whole = [.. NamedParameters.Where(named => Layouts.Of(named.Name, named.Parameter).IsWhole).Select(named => named.Parameter)];
        var computed = whole.Select(parameter => parameter.grad is null ? 0.0 : 1).ToArray();
        _tensorRanks.AllReduce(computed.AsSpan(), ReduceOperation.Max);
        Tensor[] gradients = [.. whole.Where((_, i) => computed[i] > 0).Select(parameter => parameter.grad ??= zeros_like(parameter))];
        foreach (var ofType in gradients.GroupBy(gradient => gradient.dtype))
            _tensorRanks.AllReduce(ofType.ToArray(), ReduceOperation.Mean);
    }

    /// <summary>Makes buffers those of one rank, where they follow the data and ranks that see other samples differ.</summary>
    private void BroadcastBuffers()
    {
        _replicas.BroadcastBuffers();
        if (HasOwnSamples)
            new ReplicaSynchronizer(Pipeline?.Model.Held ?? Root, _tensorRanks).BroadcastBuffers();
    }
}
