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

    /// <summary>
    /// Whether a region computes again, with the backward through it. The gradients of its parameters are not what they will be until it has
    /// ended.
    /// </summary>
    public bool IsUnderWay => _depth > 0;

    /// <summary>Where a region that is called now keeps the products of its linear layers; null for nowhere.</summary>
    public KeptOutputs? Recording { get; set; }

    /// <summary>The products that a region which computes again takes from what it has kept; null for none.</summary>
    public KeptOutputs? Replaying { get; set; }

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
}
