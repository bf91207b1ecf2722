using System.Runtime.InteropServices;
using ShardSharp.Native;
using static ShardSharp.Tests.Native.BindingImage;

namespace ShardSharp.Tests.Native;

public sealed class SymbolVersionRewriteTests
{
    [Theory]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(36)]
    public void Leaves_the_image_alone_where_the_system_has_every_version(int newest)
    {
        var image = Read();

        Assert.Same(image, SymbolVersionRewrite.Apply(new ElfImage(image, "binding"), CppLibrary, Host(newest)));
    }

    [Fact]
    public void Leaves_versions_of_other_libraries_alone()
    {
        var image = Read();

        Assert.Same(image, SymbolVersionRewrite.Apply(new ElfImage(image, "binding"), "libother.so.1", Host(30)));
    }

    [Fact]
    public void On_debian_12_and_ubuntu_22_replaces_one_version_and_redirects_one_symbol()
    {
        var before = new ElfImage(Read(), "before");
        var after = new ElfImage(SymbolVersionRewrite.Apply(before, CppLibrary, Host(30)), "after");

        var need = Assert.Single(ChangedNeeds(before, after));
        Assert.Equal(("GLIBCXX_3.4.32", "GLIBCXX_3.4.30"), (need.Old.Version, need.New.Version));
        var symbol = Assert.Single(ChangedSymbols(before, after));
        Assert.Equal((StreamInitializer, "floor"), (symbol.Old.Name, symbol.New.Name));
        Assert.Equal("GLIBC_2.2.5 of libm.so.6", VersionOf(symbol.New, after));
        AssertNothingElseDiffers(before, after);
    }

    [Fact]
    public void On_red_hat_9_and_amazon_linux_2023_also_binds_waiting_to_its_older_version()
    {
        var before = new ElfImage(Read(), "before");
        var after = new ElfImage(SymbolVersionRewrite.Apply(before, CppLibrary, Host(29)), "after");

        Assert.Equal(
            [("GLIBCXX_3.4.30", "GLIBCXX_3.4.29"), ("GLIBCXX_3.4.32", "GLIBCXX_3.4.29")],
            ChangedNeeds(before, after).Select(change => (change.Old.Version, change.New.Version)).Order());
        Assert.Equal(
            [$"{Wait} in GLIBCXX_3.4.11 of libstdc++.so.6", "floor in GLIBC_2.2.5 of libm.so.6"],
            ChangedSymbols(before, after).Select(change => $"{change.New.Name} in {VersionOf(change.New, after)}")
                .Order(StringComparer.Ordinal));
        AssertNothingElseDiffers(before, after);
    }

    [Theory]
    [InlineData(29)]
    [InlineData(30)]
    public void Wants_nothing_the_system_lacks_afterwards_with_matching_hashes(int newest)
    {
        var adapted = SymbolVersionRewrite.Apply(new ElfImage(Read(), "binding"), CppLibrary, Host(newest));

        foreach (var need in new ElfImage(adapted, "adapted").ReadVersionNeeds())
        {
            Assert.Equal(SymbolVersionRewrite.Hash(need.Version), BitConverter.ToUInt32(adapted, (int)need.EntryOffset));
            if (need.File == CppLibrary)
                Assert.Contains(need.Version, Host(newest).Versions);
        }
    }

    [Fact]
    public unsafe void The_image_for_the_oldest_system_loads_and_runs()
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64, "The image is for Linux x64.");
        TorchLibrary.Load();
        var adapted = SymbolVersionRewrite.Apply(new ElfImage(Read(), "binding"), CppLibrary, Host(29));

        using var copy = AnonymousFile.Create("binding");
        RandomAccess.Write(copy, adapted, fileOffset: 0);
        var library = NativeLibrary.Load($"/proc/self/fd/{copy.DangerousGetHandle()}");
        copy.SetHandleAsInvalid(); // The descriptor must keep its number to itself, as in TorchLibrary.

        var threads = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "THSTorch_get_num_threads");
        Assert.Equal(TorchSharp.torch.get_num_threads(), threads());
    }

    [Fact]
    public void A_system_without_a_needed_symbol_is_named_with_what_it_lacks()
    {
        // GLIBCXX_3.4.29 brought __throw_bad_array_new_length, for which nothing older or harmless can stand in.
        var image = new ElfImage(Read(), "binding");

        var failure = Assert.Throws<NotSupportedException>(() => SymbolVersionRewrite.Apply(image, CppLibrary, Host(28)));

        Assert.Contains("_ZSt28__throw_bad_array_new_lengthv in version GLIBCXX_3.4.29", failure.Message, StringComparison.Ordinal);
        Assert.Contains("a system with GLIBCXX_3.4.28", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GLIBC_2.2.5", 0x09691a75)]
    [InlineData("GLIBCXX_3.4", 0x08922974)]
    [InlineData("", 0)]
    public void Hashes_names_as_the_system_v_abi_does(string name, uint hash) => Assert.Equal(hash, SymbolVersionRewrite.Hash(name));

    private static (VersionNeed Old, VersionNeed New)[] ChangedNeeds(ElfImage before, ElfImage after) =>
        [.. before.ReadVersionNeeds().Zip(after.ReadVersionNeeds()).Where(pair => pair.First != pair.Second)];

    private static (ElfSymbol Old, ElfSymbol New)[] ChangedSymbols(ElfImage before, ElfImage after) =>
        [.. before.ReadDynamicSymbols().Zip(after.ReadDynamicSymbols()).Where(pair => pair.First != pair.Second)];

    private static string VersionOf(ElfSymbol symbol, ElfImage image)
    {
        VersionNeed need = image.ReadVersionNeeds().Single(need => need.Index == symbol.VersionIndex);
        return $"{need.Version} of {need.File}";
    }

    /// <summary>Puts the old hash and name of each changed need, and the old name and version of each changed symbol, back.</summary>
    private static void AssertNothingElseDiffers(ElfImage before, ElfImage after)
    {
        byte[] restored = [.. after.Bytes];
        foreach ((var need, _) in ChangedNeeds(before, after))
        {
            Restore(need.EntryOffset, sizeof(uint));
            Restore(need.EntryOffset + 8, sizeof(uint));
        }

        foreach ((var symbol, _) in ChangedSymbols(before, after))
        {
            Restore(symbol.EntryOffset, sizeof(uint));
            Restore(symbol.VersionOffset, sizeof(ushort));
        }

        Assert.True(restored.AsSpan().SequenceEqual(before.Bytes));

        void Restore(long offset, int size) => before.Bytes.AsSpan((int)offset, size).CopyTo(restored.AsSpan((int)offset));
    }
}
