using System.CommandLine;
using System.Globalization;

namespace ShardSharp.Benchmarks;

/// <summary>What is timed, and for how long.</summary>
/// <param name="Kibibytes">Sizes of the full buffer.</param>
/// <param name="Seconds">Time to spend on each operation and size.</param>
internal sealed record CollectivesPlan(IReadOnlyList<int> Kibibytes, double Seconds)
{
    private static readonly int[] Usual = [4, 64, 1024, 16384, 131072];

    private static readonly Option<int[]> Sizes = new("--kib")
    {
        Description = "Sizes of the full buffer in KiB.",
        DefaultValueFactory = _ => Usual,
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<double> Patience = new("--seconds")
    {
        Description = "Seconds to spend on each operation and size, besides warming up.",
        DefaultValueFactory = _ => 1,
    };

    /// <summary>The options that make a plan, for every command that takes one.</summary>
    public static IEnumerable<Option> Options => [Sizes, Patience];

    public static CollectivesPlan From(ParseResult arguments) => new(arguments.GetValue(Sizes)!, arguments.GetValue(Patience));

    /// <summary>The plan as arguments of another run.</summary>
    public IReadOnlyList<string> ToArguments() =>
    [
        Sizes.Name, .. Kibibytes.Select(kib => kib.ToString(CultureInfo.InvariantCulture)),
        Patience.Name, Seconds.ToString(CultureInfo.InvariantCulture),
    ];
}
