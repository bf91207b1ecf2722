namespace ShardSharp.Topology;

/// <summary>The options of a command line that configure ShardSharp; the rest belongs to the program.</summary>
/// <param name="Entries">Values in their order; a later one overrides an earlier one.</param>
/// <param name="ConfigurationFile">The file <c>--config</c> names; null when it is not given.</param>
/// <param name="ProgramArguments">The arguments that are the program's own.</param>
internal sealed record CommandLineOptions(
    IReadOnlyList<ConfigurationEntry> Entries, string? ConfigurationFile, IReadOnlyList<string> ProgramArguments)
{
    private const string Configuration = "--config";
    private const string Setting = "--set";
    private const string End = "--";

    /// <summary>Takes <c>--ranks</c>, <c>--backend</c>, <c>--config</c> and <c>--set</c> with their values, up to <c>--</c>.</summary>
    public static CommandLineOptions Read(IReadOnlyList<string> arguments, List<ConfigurationViolation> violations)
    {
        var entries = new List<ConfigurationEntry>();
        var others = new List<string>();
        string? file = null;
        for (var i = 0; i < arguments.Count; i++)
        {
            if (arguments[i] == End)
            {
                others.AddRange(arguments.Skip(i + 1));
                break;
            }

            (var name, var value) = Split(arguments[i]);
            if (name is not ("--ranks" or "--backend" or Configuration or Setting))
            {
                others.Add(arguments[i]);
                continue;
            }

            var source = new ConfigurationSource(ConfigurationSourceKind.CommandLine, name);
            value ??= i + 1 < arguments.Count && arguments[i + 1] != End ? arguments[++i] : null;
            if (value is null)
                violations.Add(Entry(name, string.Empty, source).Violates("needs a value"));
            else if (name == Configuration)
                file = value;
            else if (name != Setting)
                entries.Add(Entry(name[2..], value, source));
            else if (Split(value) is (var key, { } text))
                entries.Add(Entry(key, text, source));
            else
                violations.Add(Entry(name, value, source).Violates("must be key=value"));
        }

        return new CommandLineOptions(entries, file, others);
    }

    private static ConfigurationEntry Entry(string key, string value, ConfigurationSource source) =>
        new(key, RawValue.FromText(value), source);

    private static (string Name, string? Value) Split(string text)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        return equals < 0 ? (text, null) : (text[..equals], text[(equals + 1)..]);
    }
}
