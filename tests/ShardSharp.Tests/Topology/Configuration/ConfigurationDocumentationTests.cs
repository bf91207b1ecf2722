using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

/// <summary>
/// The tables of <c>docs/configuration.md</c> and the JSON schema are the key table's. With <c>UPDATE_DOCUMENTS=1</c> in the environment
/// the tests write them instead.
/// </summary>
public sealed class ConfigurationDocumentationTests
{
    [Fact]
    public void The_page_lists_the_keys() => CheckSection("keys", ConfigurationTables.Keys());

    [Fact]
    public void The_page_lists_the_keys_without_counterpart() => CheckSection("foreign keys", ConfigurationTables.ForeignKeys());

    [Fact]
    public void The_schema_is_that_of_the_keys()
    {
        var path = Repository.PathOf("docs/configuration.schema.json");
        if (Repository.IsUpdating)
            File.WriteAllText(path, ConfigurationTables.Schema());
        Assert.Equal(ConfigurationTables.Schema(), File.ReadAllText(path));
    }

    [Fact]
    public void Every_key_links_to_its_description()
    {
        var page = Repository.Read(ConfigurationKeys.Page);

        Assert.All(ConfigurationKeys.All, key =>
            Assert.Contains($"<a id=\"{key.Documentation.Split('#')[1]}\">", page, StringComparison.Ordinal));
    }

    [Fact]
    public void The_example_of_the_page_works()
    {
        var page = Repository.Read(ConfigurationKeys.Page);
        var example = page.Split("```json\n")[1].Split("```")[0];

        Assert.NotEqual(new ParallelConfiguration(), ParallelConfiguration.FromJson(example));
    }

    private static void CheckSection(string name, string expected)
    {
        var path = Repository.PathOf(ConfigurationKeys.Page);
        var begin = $"<!-- {name}: written by ConfigurationDocumentationTests -->\n";
        var parts = File.ReadAllText(path).Split(begin);
        var rest = parts[1].Split("\n<!-- end -->", 2);
        if (Repository.IsUpdating)
            File.WriteAllText(path, $"{parts[0]}{begin}{expected}\n<!-- end -->{rest[1]}");
        else
            Assert.Equal(expected, rest[0]);
    }
}
