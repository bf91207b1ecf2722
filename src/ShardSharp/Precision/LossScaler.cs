namespace ShardSharp.Precision;

/// <summary>The loss scale of a training, step by step. The same on all ranks, since all ranks tell it the same.</summary>
public sealed class LossScaler
{
    private readonly LossScaling _scaling;
    private LossScalerState _state;

    /// <param name="scaling">The scale's rules.</param>
    /// <exception cref="ArgumentException">A number of the rules is out of range.</exception>
    public LossScaler(LossScaling scaling)
    {
        ArgumentNullException.ThrowIfNull(scaling);
        scaling.Validate();
        _scaling = scaling;
        _state = new LossScalerState(scaling.InitialScale, StepsWithoutOverflow: 0, scaling.DelayedShift);
    }

    /// <summary>By what the next step multiplies the loss.</summary>
    public double Scale => _state.Scale;

    /// <summary>Whether a gradient of the last step was infinite or no number, so that the optimizer left the parameters alone.</summary>
    public bool Overflow { get; private set; }

    /// <summary>What has to be saved to go on with the same scale later. Setting it goes on from there.</summary>
    /// <exception cref="ArgumentException">There is no such state under these rules.</exception>
    public LossScalerState State
    {
        get => _state;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            if (!double.IsFinite(value.Scale) || value.Scale <= 0 || value.StepsWithoutOverflow < 0 || value.OverflowsLeft < 1)
                throw new ArgumentException($"{value} is no state of a loss scaler.", nameof(value));
            _state = value;
        }
    }

    /// <summary>Takes note of a step.</summary>
    /// <param name="overflow">Whether a gradient on any rank was infinite or no number.</param>
    public void Update(bool overflow)
    {
        Overflow = overflow;
        _state = overflow ? AfterOverflow() : AfterStep();
    }

    private LossScalerState AfterOverflow() => _state.OverflowsLeft > 1
        ? _state with { StepsWithoutOverflow = 0, OverflowsLeft = _state.OverflowsLeft - 1 }
        : _state with { StepsWithoutOverflow = 0, Scale = Math.Max(_state.Scale / _scaling.ScaleFactor, _scaling.MinimumScale) };

    private LossScalerState AfterStep()
    {
        var rises = _state.StepsWithoutOverflow + 1 >= _scaling.ScaleWindow;
        return new LossScalerState(
            rises ? _state.Scale * _scaling.ScaleFactor : _state.Scale,
            rises ? 0 : _state.StepsWithoutOverflow + 1,
            rises || _scaling.ConsecutiveHysteresis ? _scaling.DelayedShift : _state.OverflowsLeft);
    }
}

/// <summary>The state of a loss scaler, to be saved with the optimizer's.</summary>
/// <param name="Scale">The scale.</param>
/// <param name="StepsWithoutOverflow">Steps since the last overflow or rise.</param>
/// <param name="OverflowsLeft">The how-many-eth overflow from here lowers the scale.</param>
public sealed record LossScalerState(double Scale, int StepsWithoutOverflow, int OverflowsLeft);
