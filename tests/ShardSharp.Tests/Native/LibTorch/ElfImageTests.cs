using CsCheck;
using ShardSharp.Native;
using static ShardSharp.Tests.Native.BindingImage;

namespace ShardSharp.Tests.Native;

public sealed class ElfImageTests
{
    private const int SectionTableField = 40; // e_shoff
    private const int LinkField = 40;         // sh_link within an Elf64_Shdr

    [Fact]
    public void Reads_the_versions_and_symbols_the_binding_needs()
    {
        var image = new ElfImage(Read(), "binding");

        var needs = image.ReadVersionNeeds();
        Assert.Equal(20, needs.Count(need => need.File == CppLibrary));
        var index = needs.Single(need => need.Version == "GLIBCXX_3.4.32").Index;
        var only = Assert.Single(image.ReadDynamicSymbols(), symbol => !symbol.IsDefined && symbol.VersionIndex == index);
        Assert.Equal(StreamInitializer, only.Name);
        Assert.Contains(image.ReadDynamicSymbols(), symbol => symbol.IsDefined && symbol.Name == "THSTensor_dispose");
        Assert.Empty(image.ReadVersionDefinitions());
    }

    [Fact]
    public void Reads_what_a_library_defines()
    {
        var core = Path.Combine(Path.GetDirectoryName(Location)!, "libc10.so");
        Assert.SkipUnless(File.Exists(core), "libtorch of another platform is installed.");

        var defined = DefinedSymbols.Of(new ElfImage(File.ReadAllBytes(core), core));

        Assert.Contains("libc10.so", defined.Versions);
    }

    [Fact]
    public void Every_truncated_image_is_reported()
    {
        var whole = Read();
        Gen.Int[0, whole.Length - 1].Sample(length =>
        {
            var failure = Assert.Throws<InvalidDataException>(() => new ElfImage(whole[..length], "short.so"));
            Assert.Contains("short.so is truncated", failure.Message, StringComparison.Ordinal);
        }, iter: 100);
    }

    [Fact]
    public void Garbage_is_reported()
    {
        Gen.Byte.Array[64, 4096].Sample(bytes =>
        {
            var failure = Assert.Throws<InvalidDataException>(() => new ElfImage(bytes, "noise.so"));
            Assert.Equal("noise.so is not a 64-bit little-endian ELF file.", failure.Message);
        }, iter: 100);
    }

    [Fact]
    public void An_image_with_damaged_bytes_is_adapted_or_reported_and_nothing_else()
    {
        var whole = Read();
        var sections = (int)BitConverter.ToUInt64(whole, SectionTableField);
        var place = Gen.OneOf(Gen.Int[0, 0x280], Gen.Int[0x3890, 0x3fb00], Gen.Int[sections, whole.Length - 1]);
        Gen.Select(place, Gen.Byte).Array[1, 20].Sample(changes =>
        {
            byte[] damaged = [.. whole];
            foreach ((var offset, var value) in changes)
                damaged[offset] = value;
            var failure = Record.Exception(
                () => SymbolVersionRewrite.Apply(new ElfImage(damaged, "damaged.so"), CppLibrary, Host(29)));
            Assert.True(failure is null or InvalidDataException or NotSupportedException, failure?.ToString());
        }, iter: 100, threads: 2);
    }

    [Fact]
    public void A_table_without_strings_is_reported()
    {
        var image = Read();
        var sections = (int)BitConverter.ToUInt64(image, SectionTableField);
        for (var entry = sections; entry < image.Length; entry += ElfHeader.SectionEntrySize)
            image[entry + LinkField] = 0xff;

        var failure = Assert.Throws<InvalidDataException>(() => new ElfImage(image, "linkless.so").ReadVersionNeeds());

        Assert.Contains("linkless.so is not a well-formed shared library", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_of_another_machine_is_reported()
    {
        var image = Read();
        image[18] = 183; // EM_AARCH64

        var failure = Assert.Throws<InvalidDataException>(() => new ElfImage(image, "arm.so"));

        Assert.Equal("arm.so is not a shared library for x86-64.", failure.Message);
    }
}
