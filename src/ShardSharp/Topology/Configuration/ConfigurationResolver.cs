using System.Text.Json;

namespace ShardSharp.Topology;

/// <summary>
/// Lays one layer of values over another. What breaks a rule is reported and replaced by what the report suggests, so that later rules
/// see a configuration in which every suggestion so far was followed, and following all of them works.
/// </summary>
internal sealed class ConfigurationResolver
{
    private readonly List<ConfigurationViolation> _violations;
    private readonly Dictionary<string, ConfigurationEntry> _origins = [];
    private readonly Dictionary<string, int> _reported = [];

    public ConfigurationResolver(ParallelConfiguration code, List<ConfigurationViolation> violations)
    {
        _violations = violations;
        Configuration = code;
        foreach (var key in ConfigurationKeys.All)
        {
            var json = new RawValue(JsonValueKind.Undefined, key.Json(code), IsSpelled: false);
            var source = key.IsDefault(code) ? ConfigurationSource.Default : ConfigurationSource.Code;
            _origins[key.Name] = new ConfigurationEntry(key.Name, json, source);
            var corrected = key.Correct(Configuration);
            if (corrected != Configuration)
                Replace(key, $"must be {key.Syntax.Description}", corrected);
        }
    }

    public ParallelConfiguration Configuration { get; private set; }

    public IReadOnlyDictionary<string, ConfigurationSource> Sources =>
        _origins.ToDictionary(origin => origin.Key, origin => origin.Value.Source);

    /// <summary>Lays a layer over what is there. Within a layer a key may be given once.</summary>
    public void Apply(IReadOnlyList<ConfigurationEntry> layer)
    {
        var given = new Dictionary<string, string>();
        var unknown = new List<ConfigurationEntry>();
        foreach (var entry in layer)
        {
            if (ConfigurationKeys.Find(entry.Name) is not { } key)
                unknown.Add(entry);
            else if (given.TryAdd(key.Name, entry.Name))
                Assign(key, entry);
            else
                _violations.Add(entry.Violates($"is the same key as {given[key.Name]}, which is given too; keep one of them"));
        }

        foreach (var entry in unknown)
            ReportUnknown(entry, given);
    }

    /// <summary>Rejects what asks for a feature that is not available.</summary>
    public void CheckFeatures(Func<Feature, bool> isAvailable)
    {
        foreach (var key in ConfigurationKeys.All)
            if (key.FeatureNeeded(Configuration) is { } feature && !isAvailable(feature))
                Replace(key, $"is not supported yet: it asks for {feature.Name}", key.Copy(ParallelConfiguration.Default, Configuration));
    }

    /// <summary>Rejects values that do not go together, or not with the number of ranks.</summary>
    public void CheckRules(int? worldSize)
    {
        foreach (var rule in ConfigurationRules.All)
        {
            var ranked = new RankedConfiguration(Configuration, worldSize);
            if (rule.Broken(ranked) is { } broken)
                Replace(ConfigurationKeys.Find(rule.Key)!, broken, rule.Repaired(ranked));
        }
    }

    private void Assign(ConfigurationKey key, ConfigurationEntry entry)
    {
        var assigned = key.TryAssign(Configuration, entry.Value, out var configuration);
        Configuration = configuration;
        _origins[key.Name] = entry;
        _reported.Remove(key.Name);
        if (!assigned)
            Replace(key, $"must be {key.Syntax.Description}", configuration);
    }

    private void ReportUnknown(ConfigurationEntry entry, Dictionary<string, string> given)
    {
        if (ForeignKey.Find(entry.Name) is { } foreign)
        {
            if (!foreign.Accepts(entry.Value))
                _violations.Add(entry.Violates(foreign.Reason));
            return;
        }

        if (Spelling.Nearest(entry.Name, ConfigurationKeys.Names) is not { } meant)
        {
            _violations.Add(entry.Violates("is not a key"));
            return;
        }

        var key = ConfigurationKeys.Find(meant)!;
        if (!given.TryAdd(key.Name, entry.Name))
        {
            _violations.Add(entry.Violates($"is not a key; {key.Name}, which it resembles, is given too"));
            return;
        }

        key.TryAssign(Configuration, entry.Value, out var configuration);
        Configuration = configuration;
        _origins[key.Name] = entry;
        _reported[key.Name] = _violations.Count;
        _violations.Add(entry.Violates($"is not a key; did you mean {meant}?", key.Json(configuration), meant));
    }

    // One report a key: a value that breaks several rules is reported for the first, with a suggestion that keeps them all.
    private void Replace(ConfigurationKey key, string rule, ParallelConfiguration corrected)
    {
        var suggestion = key.Json(corrected);
        if (_reported.TryGetValue(key.Name, out var index))
        {
            var reported = _violations[index];
            _violations[index] = reported with { Suggestion = reported.Suggestion with { Value = suggestion } };
        }
        else
        {
            _reported[key.Name] = _violations.Count;
            _violations.Add(_origins[key.Name].Violates(rule, suggestion));
        }

        Configuration = corrected;
    }
}
