namespace ShardSharp.Topology;

/// <summary>
/// In which order the data (D), pipeline (P) and tensor (T) axes are laid over the ranks: neighbours along the right-most letter are
/// neighbouring ranks, and the left-most letter varies slowest. As hosts hold consecutive ranks, the right-most axis stays within a host.
/// SMP's <c>placement_strategy</c>.
/// </summary>
public sealed class PlacementStrategy
{
    private PlacementStrategy(string order) => Order = order;

    /// <summary><c>DPT</c>: the ranks of one copy of the model are neighbours. The default.</summary>
    public static PlacementStrategy Cluster { get; } = new("DPT");

    /// <summary><c>TPD</c>: the ranks that hold the same parameters are neighbours.</summary>
    public static PlacementStrategy Spread { get; } = new("TPD");

    /// <summary>All six strategies, as letters in alphabetical order.</summary>
    public static IReadOnlyList<PlacementStrategy> All { get; } =
        [Cluster, new("DTP"), new("PDT"), new("PTD"), new("TDP"), Spread];

    /// <summary>The letters D, P and T, slowest varying axis first.</summary>
    public string Order { get; }

    /// <summary>The names of the three axes (see <see cref="AxisName"/>), slowest varying first.</summary>
    public IReadOnlyList<string> Axes => [.. Order.Select(letter => letter switch
    {
        'D' => AxisName.Data,
        'P' => AxisName.Pipeline,
        _ => AxisName.Tensor,
    })];

    /// <summary>Reads <c>cluster</c>, <c>spread</c>, or a permutation of the letters D, P and T such as <c>PTD</c>.</summary>
    /// <param name="text">The strategy as written in a configuration; upper and lower case matter.</param>
    /// <exception cref="ArgumentException">The text is none of these; the message lists them.</exception>
    public static PlacementStrategy Parse(string text) => text switch
    {
        "cluster" => Cluster,
        "spread" => Spread,
        _ => All.FirstOrDefault(strategy => strategy.Order == text) ?? throw new ArgumentException(
            $"Placement strategy '{text}' is unknown. Use 'cluster' (the same as DPT), 'spread' (the same as TPD), "
            + $"or one of {string.Join(", ", All)}.",
            nameof(text)),
    };

    /// <summary>The letters, such as <c>DPT</c>.</summary>
    public override string ToString() => Order;
}
