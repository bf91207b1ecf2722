namespace ShardSharp.Topology;

/// <summary>A duration, a number of seconds in JSON.</summary>
internal sealed class SecondsSyntax(double minimum, double maximum) : ValueSyntax<TimeSpan>
{
    private readonly NumberSyntax _seconds = new(minimum, maximum);

    public double Minimum => minimum;

    public double Maximum => maximum;

    public override string Description => $"{_seconds.Description} (seconds)";

    public override bool TryRead(RawValue raw, out TimeSpan value)
    {
        value = default;
        if (!_seconds.TryRead(raw, out var seconds) || double.IsNaN(seconds))
            return false;
        // Rounded, not cut as TimeSpan.FromSeconds does, so that what is printed reads back as the same tick.
        value = new TimeSpan((long)Math.Round(Math.Clamp(seconds, -1, maximum + 1) * TimeSpan.TicksPerSecond));
        return true;
    }

    public override TimeSpan Nearest(TimeSpan value) =>
        TimeSpan.FromTicks(Math.Clamp(value.Ticks, TimeSpan.FromSeconds(minimum).Ticks, TimeSpan.FromSeconds(maximum).Ticks));

    public override string Format(TimeSpan value) => _seconds.Format(value.TotalSeconds);
}
