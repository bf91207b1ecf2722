using System.Runtime.InteropServices;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>A model that is spread over the ranks of a tensor-parallel group. Disposing it takes the hooks off; parameters stay divided.</summary>
public sealed class TensorParallelModule : IDisposable
{
    private readonly TensorParallelContext _context;

    internal TensorParallelModule(TensorParallelContext context) => _context = context;

    /// <summary>The ranks that share each layer.</summary>
    public ProcessGroup Group => _context.Group;

    /// <summary>What this rank holds of each parameter.</summary>
    internal ParameterLayouts Layouts => _context.Layouts;

    /// <summary>Mean cross-entropy in nats, in float32, of logits as the model returns them: divided (see
    /// <see cref="TensorParallelPlan.KeepsLogitsDivided"/>) or whole.</summary>
    /// <param name="logits">[.., vocabulary], or this rank's part of it.</param>
    /// <param name="labels">[..] of int64, the same on every rank.</param>
    /// <param name="options">Which labels do not count, and what is added to the loss; the defaults if null.</param>
    /// <returns>The mean over the labels that count; NaN if none does.</returns>
    public Tensor CrossEntropy(Tensor logits, Tensor labels, CrossEntropyOptions? options = null) =>
        VocabularyParallelLoss.CrossEntropy(logits, labels, _context.DividedLogits is null ? null : Group, _context.DividedLogits, options);

    /// <inheritdoc/>
    public void Dispose() => _context.Dispose();

    /// <summary>Puts the rest of the hooks in place, when those that gather parameters are.</summary>
    internal void Activate() => _context.Activate();

    /// <summary>Says what a failure of libtorch's may have to do with divided layers; null for other failures.</summary>
    internal Exception? Explain(Exception failure) => failure is ExternalException && Group.Size > 1 && _context.LastCalled is { } last
        ? new TensorParallelException(
            $"A computation failed, after module '{last}', which is divided over {Group.Size} ranks, was called. Code between divided layers must take "
            + "sizes from its tensors: a view that assumes all heads or all features, as [.., heads, -1], has to be one of this rank's, [.., -1, headSize]. "
            + $"The failure: {failure.Message.Split('\n')[0]}", failure)
        : null;
}
