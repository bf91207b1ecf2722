using ShardSharp.Activations;
using ShardSharp.Communication;
using ShardSharp.Modules;
using ShardSharp.TensorParallel.Automatic;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>A model that is spread over the ranks of a tensor-parallel group. Disposing it takes the hooks off; parameters stay divided.</summary>
public sealed class TensorParallelModule : IDisposable
{
    private readonly TensorParallelContext _context;
    private readonly nn.Module _root;
    private readonly bool _knowsDraws;
    private readonly bool _knowsGradients;
    private DrawWatch? _watch;
    private PartWatch? _parts;

    /// <param name="root">The model, whole and equal on all ranks.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="group">The ranks.</param>
    /// <param name="example">What to try the plan with; null for nothing.</param>
    /// <param name="isGuess">Whether the example was made up.</param>
    /// <exception cref="TensorParallelException">The plan does not fit, or the model computes something else with it than whole.</exception>
    internal TensorParallelModule(nn.Module root, TensorParallelPlan plan, ProcessGroup group, object?[]? example, bool isGuess = true)
    {
        _root = root;
        using var check = group.Size == 1 ? null : PlanCheck.Of(root, example, isGuess, group, plan);
        _context = PlanApplication.Apply(root, plan, group);
        (_knowsDraws, _knowsGradients) = (check is { KnowsDraws: true }, check is { KnowsGradients: true });
        if (check is not null)
            Try(check);

        Report = new TensorParallelReport(
            [.. _context.Styles.Select(styled => (styled.Key, styled.Value.Description))],
            [
                .. ModuleTree.Walk(root)
                    .Where(below => !_context.Styles.ContainsKey(below.Name) && below.Module.named_parameters(recurse: false).Any())
                    .Select(below => (below.Name, plan.Reasons.GetValueOrDefault(below.Name, "no pattern of the plan fits it"))),
            ],
            plan.SequenceProblem);
    }

    /// <summary>The ranks that share each layer.</summary>
    public ProcessGroup Group => _context.Group;

    /// <summary>Which modules are spread over the ranks, and which are left alone and why.</summary>
    public TensorParallelReport Report { get; }

    /// <summary>What the checkpointed modules of the model share; they keep sums over ranks, so that computing again sums nothing.</summary>
    internal Recomputation? Recomputation
    {
        set => _context.Recomputation = value;
    }

    /// <summary>What this rank holds of each parameter.</summary>
    internal ParameterLayouts Layouts => _context.Layouts;

    /// <summary>Mean cross-entropy in nats, in float32, of logits as the model returns them: divided (see
    /// <see cref="TensorParallelPlan.KeepsLogitsDivided"/>) or whole.</summary>
    /// <param name="logits">[.., vocabulary], or this rank's part of it.</param>
    /// <param name="labels">[..] of int64, the same on every rank.</param>
    /// <param name="options">Which labels do not count, and what is added to the loss; the defaults if null.</param>
    /// <returns>The mean over the labels that count; NaN if none does.</returns>
    public Tensor CrossEntropy(Tensor logits, Tensor labels, CrossEntropyOptions? options = null) => CrossEntropy(logits, labels, options, isLastBackward: null);

    /// <inheritdoc cref="CrossEntropy(Tensor, Tensor, CrossEntropyOptions)"/>
    internal Tensor CrossEntropy(Tensor logits, Tensor labels, CrossEntropyOptions? options, Func<bool>? isLastBackward) => VocabularyParallelLoss.CrossEntropy(
        logits, labels, _context.DividedLogits is null ? null : Group, _context.DividedLogits, options, isLastBackward);

    /// <inheritdoc/>
    public void Dispose()
    {
        _watch?.Dispose();
        _parts?.Dispose();
        _context.Dispose();
    }

    /// <summary>
    /// Makes the module whole on every rank, parameters and computation, until the result is disposed. Every rank calls it.
    /// </summary>
    /// <param name="inner">Disposed after it: what has made this rank's parts readable.</param>
    internal IDisposable GatherParameters(IDisposable inner) => new WholeParameters(_context, inner);

    /// <summary>Says that a stage of a pipeline computes another microbatch, whose sequences may have another length.</summary>
    internal void BeginStage() => _context.SequenceLength = null;

    /// <summary>Puts the hooks in place, when those that gather parameters are.</summary>
    /// <exception cref="TensorParallelException">The plan was not tried, and leaves open which gradients are to be summed.</exception>
    internal void Activate()
    {
        _context.Activate(_root);

        // What could not be tried is looked at while it trains.
        if (_context.Group.Size > 1 && !_knowsDraws && RandomDraws.CanTell(_context.Group))
            _watch = new DrawWatch(_root, _context);
        if (_context.Group.Size > 1 && !_knowsGradients)
            _parts = new PartWatch(_root, _context);
    }

    private void Try(PlanCheck check)
    {
        try
        {
            _context.Activate(_root);
            check.Run(_context);
            _context.Deactivate();
        }
        catch
        {
            _context.Dispose();
            throw;
        }
    }

    /// <summary>Says what a failure may have to do with divided layers; null for other failures.</summary>
    internal Exception? Explain(Exception failure) => _context.Explain(failure);
}
