using System.Globalization;

namespace ShardSharp.Topology;

internal sealed class NumberSyntax(double minimum, double maximum) : ValueSyntax<double>
{
    public double Minimum => minimum;

    public double Maximum => maximum;

    public override string Description => $"a number from {Format(minimum)} to {Format(maximum)}";

    public override bool TryRead(RawValue raw, out double value) =>
        double.TryParse(raw.Literal, NumberStyles.Float, CultureInfo.InvariantCulture, out value);

    public override double Nearest(double value) => double.IsNaN(value) ? minimum : Math.Clamp(value, minimum, maximum);

    public override string Format(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
