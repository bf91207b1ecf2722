namespace ShardSharp.Cli.Doctor;

/// <summary>Reads the "name: value" files of /proc (man 5 proc).</summary>
internal static class ProcText
{
    /// <summary>The value of a name; null where the text has none.</summary>
    public static string? Value(string? text, string name) => text?.Split('\n')
        .Where(line => line.StartsWith(name + ":", StringComparison.Ordinal)).Select(line => line[(name.Length + 1)..].Trim()).FirstOrDefault();

    public static string Size(double bytes) => bytes >= 1L << 30
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{bytes / (1L << 30):0.#} GiB")
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{bytes / (1 << 20):0} MiB");
}
