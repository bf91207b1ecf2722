namespace ShardSharp.DataParallel;

/// <summary>What an engine holds of a model on this rank now, in bytes.</summary>
/// <param name="Parameters">This rank's share of the parameters.</param>
/// <param name="SharedParameters">The part of it that lies in memory which ranks share.</param>
/// <param name="Gradients">Gradients, whole ones and slices.</param>
internal readonly record struct HeldState(long Parameters, long SharedParameters, long Gradients)
{
    public static HeldState operator +(HeldState first, HeldState second) => new(
        first.Parameters + second.Parameters, first.SharedParameters + second.SharedParameters, first.Gradients + second.Gradients);
}
