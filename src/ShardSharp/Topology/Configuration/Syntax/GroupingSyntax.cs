using System.Globalization;

namespace ShardSharp.Topology;

/// <summary>How modules that follow one another are grouped: each, selective, contiguous, or group_N.</summary>
internal sealed class GroupingSyntax : ValueSyntax<string>
{
    public const string Each = "each", Selective = "selective", Contiguous = "contiguous", Group = "group_";

    public override string Description => "\"each\", \"selective\", \"contiguous\" or \"group_N\" with a number N of at least 1";

    /// <summary>The number of <c>group_N</c>; null for other names.</summary>
    public static int? SizeOf(string? name) =>
        name?.StartsWith(Group, StringComparison.Ordinal) is true
            && int.TryParse(name[Group.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size > 0 ? size : null;

    public override bool TryRead(RawValue raw, out string value)
    {
        value = raw.String ?? "";
        return raw.String is not null;
    }

    public override string Nearest(string value) => value is Each or Selective or Contiguous || SizeOf(value) is not null ? value : Each;

    public override string Format(string value) => JsonText.Quote(value);
}
