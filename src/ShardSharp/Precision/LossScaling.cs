namespace ShardSharp.Precision;

/// <summary>
/// By what the loss of a float16 training is multiplied before backward, so that small gradients do not become zero, and how that number
/// follows from the steps in which gradients became infinite (Micikevicius et al., "Mixed Precision Training", arXiv:1710.03740, section 3.2).
/// </summary>
/// <remarks>
/// The parameters are those of SMP's <c>DistributedOptimizer</c>: <see cref="Dynamic"/> is its <c>dynamic_loss_scale</c> with the default
/// <c>dynamic_loss_args</c>, <see cref="Static"/> its <c>static_loss_scale</c>.
/// </remarks>
public sealed record LossScaling
{
    /// <summary>A scale that is lowered when gradients overflow, and raised when they have not for long.</summary>
    public static LossScaling Dynamic { get; } = new();

    /// <summary>The scale of the first step (SMP: <c>init_scale</c>, <c>static_loss_scale</c>).</summary>
    /// <value>Above 0. Default 2^32, which the first steps bring down to what float16 can take, each of them skipped.</value>
    public double InitialScale { get; init; } = 4294967296;

    /// <summary>By how much the scale falls and rises (SMP: <c>scale_factor</c>).</summary>
    /// <value>Above 1; a power of 2 leaves gradients their exact bits. Default 2. 1 is a static scale.</value>
    public double ScaleFactor { get; init; } = 2;

    /// <summary>After how many steps in a row without overflow the scale rises (SMP: <c>scale_window</c>).</summary>
    /// <value>At least 1. Default 1000.</value>
    public int ScaleWindow { get; init; } = 1000;

    /// <summary>What the scale never falls below (SMP: <c>min_scale</c>).</summary>
    /// <value>Above 0. Default 1.</value>
    public double MinimumScale { get; init; } = 1;

    /// <summary>The how-many-eth overflow lowers the scale; those before are only skipped (SMP: <c>delayed_shift</c>).</summary>
    /// <value>At least 1. Default 1: each does.</value>
    public int DelayedShift { get; init; } = 1;

    /// <summary>
    /// Whether only overflows in consecutive steps count towards <see cref="DelayedShift"/>; otherwise the count begins anew when the scale
    /// rises (SMP: <c>consecutive_hysteresis</c>).
    /// </summary>
    /// <value>Default false.</value>
    public bool ConsecutiveHysteresis { get; init; }

    /// <summary>A scale that stays.</summary>
    /// <param name="scale">Above 0.</param>
    public static LossScaling Static(double scale) => new() { InitialScale = scale, MinimumScale = scale, ScaleFactor = 1 };

    /// <exception cref="ArgumentException">A number is out of range; the message names it, and what is in range.</exception>
    internal void Validate()
    {
        Require(double.IsFinite(InitialScale) && InitialScale > 0, nameof(InitialScale), InitialScale, "a finite number above 0");
        Require(MinimumScale > 0 && MinimumScale <= InitialScale, nameof(MinimumScale), MinimumScale, $"above 0 and at most {InitialScale}");
        Require(double.IsFinite(ScaleFactor) && ScaleFactor >= 1, nameof(ScaleFactor), ScaleFactor, "at least 1, such as 2");
        Require(ScaleWindow >= 1, nameof(ScaleWindow), ScaleWindow, "at least 1");
        Require(DelayedShift >= 1, nameof(DelayedShift), DelayedShift, "at least 1");
    }

    private static void Require(bool holds, string name, double value, string range)
    {
        if (!holds)
            throw new ArgumentException($"{nameof(LossScaling)}.{name} is {value}; it must be {range}.");
    }
}
