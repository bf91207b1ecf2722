using ShardSharp.Native;

namespace ShardSharp.Tests.Native;

public sealed class LoadedLibrariesTests
{
    private static readonly string[] Maps =
    [
        "7f10a0000000-7f10a0021000 rw-p 00000000 00:00 0 ",
        "7f10a4000000-7f10a4001000 r--p 00000000 08:01 1111                       /opt/lib/libstdc++.so.60",
        "7f10a5000000-7f10a5001000 r--p 00000000 08:01 2222                       /usr/lib/my folder/libstdc++.so.6.0.30",
        "7f10a6000000-7f10a6001000 r-xp 00001000 08:01 2222                       /usr/lib/my folder/libstdc++.so.6.0.30",
        "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]",
    ];

    [Fact]
    public void Finds_a_library_under_its_full_file_name() =>
        Assert.Equal("/usr/lib/my folder/libstdc++.so.6.0.30", LoadedLibraries.Find("libstdc++.so.6", Maps));

    [Fact]
    public void Finds_nothing_that_is_not_mapped() => Assert.Null(LoadedLibraries.Find("libc.so.6", Maps));

    [Fact]
    public void Finds_the_c_library_of_this_process()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads /proc.");

        Assert.True(File.Exists(LoadedLibraries.Find("libc.so.6")));
    }
}
