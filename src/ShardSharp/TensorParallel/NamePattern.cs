using System.Text.RegularExpressions;

namespace ShardSharp.TensorParallel;

/// <summary>A pattern for names of modules: <c>*</c> stands for any characters but a dot, <c>**</c> for any at all.</summary>
internal sealed class NamePattern(string pattern)
{
    private readonly Regex _expression = new(
        "^" + Regex.Escape(pattern).Replace(@"\*\*", ".*", StringComparison.Ordinal).Replace(@"\*", "[^.]*", StringComparison.Ordinal) + "$",
        RegexOptions.CultureInvariant);

    /// <summary>Whether a module's name fits.</summary>
    public bool Fits(string name) => _expression.IsMatch(name);
}
