using System.Diagnostics;
using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>What the checkpointed regions of one model on one rank have in common: whether one computes again now, and what failed.</summary>
/// <param name="isReported">Whether a failure is written to standard error, since nobody asks for it.</param>
internal sealed class Recomputation(bool isReported = false)
{
    private readonly List<Tensor> _handedOver = [];
    private ExceptionDispatchInfo? _failure;
    private int _depth;
    private int _grads;

    /// <summary>
    /// Whether a region computes again, with the backward through it. The gradients of its parameters are not what they will be until it has
    /// ended.
    /// </summary>
    public bool IsUnderWay => _depth > 0;

    /// <summary>Where a region that is called now keeps the products of its linear layers; null for nowhere.</summary>
    public KeptOutputs? Recording { get; set; }

    /// <summary>The products that a region which computes again takes from what it has kept; null for none.</summary>
    public KeptOutputs? Replaying { get; set; }

    /// <summary>What divides the backward that runs now, or will run through what forward computes now; null where none is divided.</summary>
    public IBackwardDivision? Division { get; private set; }

    /// <summary>Whether other ranks of this process draw from the same random generator, so that what was drawn cannot be drawn again.</summary>
    public bool SharesRandomNumbers { get; set; }

    /// <summary>Called when a region has computed again, before backward goes through it; null for nothing.</summary>
    public Action? Observed { get; set; }

    /// <summary>Time that regions have computed again since <see cref="ResetMeasurement"/>, backward left out.</summary>
    public TimeSpan Spent { get; private set; }

    /// <summary>How often regions have computed again since <see cref="ResetMeasurement"/>.</summary>
    public int Count { get; private set; }

    public void ResetMeasurement() => (Spent, Count) = (TimeSpan.Zero, 0);

    public void Enter() => _depth++;

    public void Leave() => _depth--;

    /// <summary>Has a division see what regions do until the result is disposed; null for none.</summary>
    public Dividing Divide(IBackwardDivision? division)
    {
        var outer = Division;
        Division = division;
        return new Dividing(this, outer);
    }

    /// <summary>Notes that a region has computed again.</summary>
    /// <param name="started">When it began, of <see cref="Stopwatch"/>.</param>
    public void Computed(long started)
    {
        // One within another is part of the outer one's time.
        if (_depth == 1)
            Spent += Stopwatch.GetElapsedTime(started);
        Count++;
        Observed?.Invoke();
    }

    /// <summary>
    /// Keeps gradients alive that autograd is about to take over: TorchSharp passes them as bare pointers. Those of the call before are let go.
    /// </summary>
    public void HandOver(IEnumerable<Tensor?> gradients)
    {
        LetGo();
        _handedOver.AddRange(gradients.OfType<Tensor>());
    }

    /// <summary>Lets go of what autograd has taken over.</summary>
    public void LetGo()
    {
        foreach (var gradient in _handedOver)
            gradient.Dispose();
        _handedOver.Clear();
    }

    /// <summary>Whether a region that fails may have libtorch end backward, rather than return no gradients: see <see cref="Gradients"/>.</summary>
    public bool MayEndBackward => _grads == 0;

    /// <summary>
    /// The gradients of tensors, null for those that have none. At an error in <c>autograd.grad</c> LibTorchSharp ends the process; so regions that
    /// fail give no gradients, and this throws what failed.
    /// </summary>
    /// <param name="ends">Where backward begins.</param>
    /// <param name="gradients">The gradients of these; null where the end is a loss.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="retainGraph">Whether there will be another backward.</param>
    public Tensor?[] Gradients(IList<Tensor> ends, IList<Tensor>? gradients, IList<Tensor> tensors, bool retainGraph)
    {
        _grads++;
        try
        {
            var found = autograd.grad(ends, tensors, gradients, retain_graph: retainGraph, allow_unused: true);
            ThrowFailure();
            return [.. found.Select(gradient => gradient is null || gradient.IsInvalid ? null : gradient)];
        }
        finally
        {
            _grads--;
        }
    }

    /// <summary>Keeps the first failure: no exception can pass through libtorch's frames.</summary>
    public void Fail(Exception failure)
    {
        if (isReported)
            Console.Error.WriteLine($"A checkpointed module failed in backward: {failure.Message}");
        _failure ??= ExceptionDispatchInfo.Capture(failure);
    }

    /// <summary>Throws what failed in a region during backward, once.</summary>
    public void ThrowFailure()
    {
        var failure = _failure;
        _failure = null;
        failure?.Throw();
    }

    /// <summary>A time of <see cref="Divide"/>.</summary>
    public readonly ref struct Dividing(Recomputation recomputation, IBackwardDivision? outer)
    {
        public void Dispose() => recomputation.Division = outer;
    }
}
