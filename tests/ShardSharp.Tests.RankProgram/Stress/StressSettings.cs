using ShardSharp.Testing;

namespace ShardSharp.Tests.Stress;

/// <summary>What determines a run of random operations.</summary>
/// <param name="Collectives">How many collectives; messages and new groups come on top.</param>
/// <param name="Seed">Everything that is random follows from it.</param>
internal sealed record StressSettings(int Collectives, int Seed)
{
    /// <summary>Parts of a run; between them all ranks stand still and count what they hold.</summary>
    public const int Phases = 10;

    /// <summary>Elements of the largest operations: some need several chunks of each rank.</summary>
    public int Largest { get; init; } = 400_000;

    /// <summary>Delays between the steps of operations, and between operations.</summary>
    public DelayInjection CreateDelays() => new(Seed) { Share = 0.1, Longest = TimeSpan.FromMilliseconds(1) };

    public override string ToString() => $"Seed {Seed}, {Collectives} collectives of up to {Largest} elements.";
}
