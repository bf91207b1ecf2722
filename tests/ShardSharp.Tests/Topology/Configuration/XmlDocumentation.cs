using System.Text.RegularExpressions;
using System.Xml.Linq;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

/// <summary>The XML documentation of <see cref="ParallelConfiguration"/>, as plain text.</summary>
internal static partial class XmlDocumentation
{
    private static readonly XDocument Document =
        XDocument.Load(Path.ChangeExtension(typeof(ParallelConfiguration).Assembly.Location, ".xml"));

    public static string Of(string property, string element)
    {
        var name = $"P:{typeof(ParallelConfiguration).FullName}.{property}";
        var text = Document.Descendants("member").Single(member => member.Attribute("name")!.Value == name).Element(element)!;
        foreach (var reference in text.Elements("see").ToList())
            reference.ReplaceWith(reference.Attribute("cref")!.Value.Split('.')[^1]);
        return Spaces().Replace(text.Value, " ").Trim();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
