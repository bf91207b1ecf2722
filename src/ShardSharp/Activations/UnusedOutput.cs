using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// Finds out whether a region's last product is needed by backward, by trying: with other values in its place all gradients are the same, bit for
/// bit, or they are not. What is only added to a residual stream is not needed, and then neither kept nor computed again.
/// </summary>
internal static class UnusedOutput
{
    /// <summary>Not a number spreads through whatever computes with it; what compares, as maxima do, may miss it, but not the other two as well.</summary>
    private static readonly double[] StandIns = [double.NaN, double.NegativeInfinity, double.PositiveInfinity];

    /// <summary>Tries once for a region.</summary>
    /// <param name="kept">What was kept of this call; the region begins with the first of them whenever it computes.</param>
    /// <param name="gradients">Computes the region again, and all its gradients; null where there is none.</param>
    public static void Find(KeptOutputs kept, Func<IReadOnlyList<Tensor?>?> gradients)
    {
        if (!kept.Any || kept.Products.IsLastUnused is not null)
            return;
        kept.IsTrial = true;
        using var scope = NewDisposeScope();
        var expected = gradients();

        // All of them, whatever comes of the first: ranks that share layers communicate in each.
        kept.Products.IsLastUnused = expected is not null && StandIns.Select(standIn => AreAlike(expected, standIn)).ToArray().All(alike => alike);
        (kept.IsTrial, kept.LastStandIn) = (false, null);

        bool AreAlike(IReadOnlyList<Tensor?> expected, double standIn)
        {
            using var trial = NewDisposeScope();
            kept.LastStandIn = standIn;
            return expected.Zip(gradients()!).All(pair => AreEqual(pair.First, pair.Second));
        }
    }

    private static bool AreEqual(Tensor? expected, Tensor? actual) =>
        expected is null || actual is null ? expected is null && actual is null : expected.eq(actual).all().item<bool>();
}
