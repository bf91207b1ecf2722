using System.Numerics;

namespace ShardSharp.Communication.Reductions;

/// <summary>How two elements become one; a type parameter, so that every loop is compiled for its operation.</summary>
internal interface ICombination
{
    static abstract T Of<T>(T left, T right)
        where T : unmanaged, INumber<T>;

    static abstract Vector<T> Of<T>(Vector<T> left, Vector<T> right)
        where T : unmanaged, INumber<T>;
}

internal readonly struct Summing : ICombination
{
    public static T Of<T>(T left, T right)
        where T : unmanaged, INumber<T> => unchecked(left + right);

    public static Vector<T> Of<T>(Vector<T> left, Vector<T> right)
        where T : unmanaged, INumber<T> => left + right;
}

internal readonly struct Multiplying : ICombination
{
    public static T Of<T>(T left, T right)
        where T : unmanaged, INumber<T> => unchecked(left * right);

    public static Vector<T> Of<T>(Vector<T> left, Vector<T> right)
        where T : unmanaged, INumber<T> => left * right;
}

internal readonly struct TakingLarger : ICombination
{
    public static T Of<T>(T left, T right)
        where T : unmanaged, INumber<T> => T.Max(left, right);

    public static Vector<T> Of<T>(Vector<T> left, Vector<T> right)
        where T : unmanaged, INumber<T> => Vector.Max(left, right);
}

internal readonly struct TakingSmaller : ICombination
{
    public static T Of<T>(T left, T right)
        where T : unmanaged, INumber<T> => T.Min(left, right);

    public static Vector<T> Of<T>(Vector<T> left, Vector<T> right)
        where T : unmanaged, INumber<T> => Vector.Min(left, right);
}
