using System.Globalization;
using System.Numerics;

namespace ShardSharp.Topology;

internal sealed class IntegerSyntax<T>(T minimum, T maximum) : ValueSyntax<T>
    where T : struct, IBinaryInteger<T>, IMinMaxValue<T>
{
    public T Minimum => minimum;

    public T Maximum => maximum;

    public override string Description =>
        maximum == T.MaxValue ? $"an integer of at least {minimum}" : $"an integer from {minimum} to {maximum}";

    /// <remarks>An integer is a number without fraction, however written (as in JSON Schema): Python writes 5e8 as 500000000.0.</remarks>
    public override bool TryRead(RawValue raw, out T value)
    {
        value = default;
        if (!decimal.TryParse(raw.Literal, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            || !decimal.IsInteger(number)
            || number < decimal.CreateChecked(T.MinValue)
            || number > decimal.CreateChecked(T.MaxValue))
            return false;
        value = T.CreateChecked(number);
        return true;
    }

    public override T Nearest(T value) => T.Clamp(value, minimum, maximum);

    public override string Format(T value) => value.ToString(null, CultureInfo.InvariantCulture);
}
