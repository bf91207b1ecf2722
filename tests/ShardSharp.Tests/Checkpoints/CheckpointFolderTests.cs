using ShardSharp.Checkpoints;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>The folder of all checkpoints: names, the newest, and what is left of saves that did not end.</summary>
public sealed class CheckpointFolderTests
{
    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("../elsewhere")]
    [InlineData("/etc")]
    [InlineData("a/b")]
    [InlineData("a\\b")]
    [InlineData(".hidden")]
    [InlineData("newest")]
    [InlineData("step_partial")]
    [InlineData("step 1")]
    [InlineData("step\n")]
    [InlineData("x.0123456789abcdef0123456789abcdef.unfinished")]
    public void A_tag_is_the_name_of_a_folder(string tag) =>
        Assert.Throws<ArgumentException>(() => new CheckpointFolder("checkpoints").PathOf(tag, partial: true));

    [Fact]
    public void The_newest_is_what_the_file_names_if_it_is_there()
    {
        using var temporary = new TemporaryFolder();
        var folder = new CheckpointFolder(temporary.Path);
        Assert.Null(folder.Newest(partial: true));

        Publish(folder, "a", age: 3);
        Publish(folder, "b", age: 2);
        Publish(folder, "c", age: 1);
        Assert.Equal("c", folder.Newest(partial: true));
        Assert.Null(folder.Newest(partial: false));

        File.WriteAllText(temporary[CheckpointFolder.NewestFile], "a\n");
        Assert.Equal("a", folder.Newest(partial: true));
        Assert.All(["gone", "../c", "", "\0"], text =>
        {
            File.WriteAllText(temporary[CheckpointFolder.NewestFile], text);
            Assert.Equal("c", folder.Newest(partial: true));
        });
    }

    [Fact]
    public void A_checkpoint_takes_the_place_of_one_with_the_same_tag()
    {
        using var temporary = new TemporaryFolder();
        var folder = new CheckpointFolder(temporary.Path);
        Publish(folder, "a", age: 3, content: "first");
        Publish(folder, "a", age: 2, content: "second");

        Assert.Equal(["a_partial", "newest"], temporary.Files);
        Assert.Equal("second", File.ReadAllText(Path.Combine(folder.PathOf("a", partial: true), CheckpointIndex.FileName)));
    }

    [Fact]
    public void Only_as_many_stay_as_wanted_whatever_the_clock_says_of_the_newest()
    {
        using var temporary = new TemporaryFolder();
        var folder = new CheckpointFolder(temporary.Path);
        Publish(folder, "a", age: 3);
        Publish(folder, "b", age: 2);
        Publish(folder, "c", age: 1);
        Publish(folder, "d", age: 9);
        folder.KeepPartial(2, "d");
        Assert.Equal(["c", "d"], folder.Tags(partial: true));
    }

    [Fact]
    public void What_was_not_finished_is_not_seen_and_goes()
    {
        using var temporary = new TemporaryFolder();
        var folder = new CheckpointFolder(temporary.Path);
        Publish(folder, "a", age: 3);
        var unfinished = folder.Unfinished("b", partial: true);
        Directory.CreateDirectory(unfinished);
        File.WriteAllText(Path.Combine(unfinished, CheckpointIndex.FileName), "");
        Directory.CreateDirectory(temporary["notes"]);

        Assert.Equal(["a"], folder.Tags(partial: true));
        folder.RemoveUnfinished();
        Assert.Equal(["a_partial", "newest", "notes"], temporary.Files);
    }

    private static void Publish(CheckpointFolder folder, string tag, int age, string content = "")
    {
        var unfinished = folder.Unfinished(tag, partial: true);
        Directory.CreateDirectory(unfinished);
        var index = Path.Combine(unfinished, CheckpointIndex.FileName);
        File.WriteAllText(index, content);
        File.SetLastWriteTimeUtc(index, new DateTime(2026, 1, 10).AddDays(-age));
        folder.Publish(unfinished, tag, partial: true);
    }
}
