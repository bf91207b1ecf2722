using System.Text.RegularExpressions;

namespace ShardSharp.Topology;

/// <summary>
/// A pattern for names of modules, the same wherever the library takes one: <c>*</c> stands for any characters but a dot, <c>**</c> for any at
/// all, <c>?</c> for one character but a dot.
/// </summary>
internal sealed class NamePattern(string text)
{
    private readonly Regex _expression = new(
        "^" + Regex.Escape(text).Replace(@"\*\*", ".*", StringComparison.Ordinal).Replace(@"\*", "[^.]*", StringComparison.Ordinal)
            .Replace(@"\?", "[^.]", StringComparison.Ordinal) + "$",
        RegexOptions.CultureInvariant);

    /// <summary>The pattern as it was given.</summary>
    public string Text => text;

    /// <summary>Whether a module's name fits.</summary>
    public bool Fits(string name) => _expression.IsMatch(name);

    /// <summary>Whether the name of a module, or of one that it is in, fits.</summary>
    public bool FitsWithin(string name)
    {
        for (var above = name; ; above = above[..above.LastIndexOf('.')])
        {
            if (Fits(above))
                return true;
            if (!above.Contains('.', StringComparison.Ordinal))
                return false;
        }
    }
}
