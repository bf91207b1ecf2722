using ShardSharp.Modules;

namespace ShardSharp.Tests.Modules;

public sealed unsafe class SpillFileTests : IDisposable
{
    private const int Megabyte = 1 << 20;

    private readonly string _folder = Directory.CreateDirectory(Path.Combine(SpillFolder.Find(null), $"spill-{Guid.NewGuid():N}")).FullName;

    public SpillFileTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "It is for Linux.");

    [Fact]
    public void Contents_outlive_the_pages_and_the_file()
    {
        using var file = new SpillFile(_folder);
        nint[] blocks = [file.Allocate(3 * Megabyte), file.Allocate(5), file.Allocate(40 * Megabyte)];
        Fill(blocks[0], 3 * Megabyte, 1);
        Fill(blocks[1], 5, 2);
        Fill(blocks[2], 40 * Megabyte, 3);
        SpillFile.Free(blocks[1]);

        file.LetGo();
        MustHold(blocks[0], 3 * Megabyte, 1);
        MustHold(blocks[2], 40 * Megabyte, 3);

        file.MoveToMemory();
        MustHold(blocks[0], 3 * Megabyte, 1);
        MustHold(blocks[2], 40 * Megabyte, 3);
        Assert.DoesNotContain(Mappings(), line => line.Contains(_folder, StringComparison.Ordinal));

        file.LetGo();
        MustHold(blocks[0], 3 * Megabyte, 1);
        Assert.Equal(43 * Megabyte, file.BytesInUse);
        SpillFile.Free(blocks[0]);
        SpillFile.Free(blocks[2]);
        Assert.Equal(0, file.BytesInUse);
    }

    [Fact]
    public void What_is_still_used_at_the_end_stays_until_it_is_freed()
    {
        var file = new SpillFile(_folder);
        nint kept = file.Allocate(Megabyte), other = file.Allocate(2 * Megabyte);
        Fill(kept, Megabyte, 7);
        file.Dispose();
        MustHold(kept, Megabyte, 7);
        SpillFile.Free(other);
        MustHold(kept, Megabyte, 7);
        Assert.Single(Mappings(), line => line.Contains(_folder, StringComparison.Ordinal));
        SpillFile.Free(kept);
        Assert.DoesNotContain(Mappings(), line => line.Contains(_folder, StringComparison.Ordinal));
    }

    [Fact]
    public void The_file_has_no_name()
    {
        using var file = new SpillFile(_folder);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void Freed_memory_gives_its_room_on_the_disk_back()
    {
        using var file = new SpillFile(_folder);
        var before = new DriveInfo(_folder).TotalFreeSpace;
        var block = file.Allocate(1 << 30);
        SpillFile.Free(block);
        Assert.True(before - new DriveInfo(_folder).TotalFreeSpace < 1 << 29);
    }

    [Fact]
    public void A_disk_without_room_is_an_error_that_names_it_before_anything_is_written()
    {
        using var file = new SpillFile(_folder);
        file.Allocate(Megabyte);
        var error = Assert.Throws<IOException>(() => file.Allocate(new DriveInfo(_folder).TotalFreeSpace * 2));
        Assert.Contains(_folder, error.Message, StringComparison.Ordinal);
        Assert.Contains("MiB are free", error.Message, StringComparison.Ordinal);
        Assert.Contains("delayed_initialization_folder", error.Message, StringComparison.Ordinal);
        var block = file.Allocate(Megabyte);
        Fill(block, Megabyte, 9);
        MustHold(block, Megabyte, 9);
    }

    [Fact]
    public void A_folder_in_memory_is_refused()
    {
        var error = Assert.Throws<IOException>(() => SpillFolder.Find("/dev/shm"));
        Assert.Contains("/dev/shm is memory (tmpfs)", error.Message, StringComparison.Ordinal);
        error = Assert.Throws<IOException>(() => SpillFolder.Find("/no/such/folder"));
        Assert.Contains("/no/such/folder does not exist", error.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        Directory.Delete(_folder);
    }

    private static void Fill(nint address, int length, byte value) => new Span<byte>((void*)address, length).Fill(value);

    private static void MustHold(nint address, int length, byte value) =>
        Assert.Equal(-1, new ReadOnlySpan<byte>((void*)address, length).IndexOfAnyExcept(value));

    private static IEnumerable<string> Mappings() => File.ReadLines("/proc/self/maps");
}
