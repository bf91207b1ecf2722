using ShardSharp.Native;

namespace ShardSharp.Tests.Native;

public sealed class TorchInstallationTests : IDisposable
{
    private static readonly string[] AllFiles =
        ["libgomp-0a1b2c3d.so.1", "libc10.so", "libtorch_cpu.so", "libtorch.so", "libLibTorchSharp.so"];

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("shardsharp-");

    public void Dispose() => _root.Delete(recursive: true);

    [Fact]
    public void Finds_every_file_in_the_order_of_their_needs()
    {
        var folder = FolderWith("native", AllFiles);

        var found = TorchInstallation.Find([Path.Combine(_root.FullName, "absent"), folder]);

        Assert.Equal(AllFiles[..4], found.LibTorch.Select(Path.GetFileName));
        Assert.All(found.LibTorch, file => Assert.Equal(folder, Path.GetDirectoryName(file)));
        Assert.Equal(Path.Combine(folder, "libLibTorchSharp.so"), found.Binding);
    }

    [Fact]
    public void The_binding_may_lie_in_another_folder_than_libtorch()
    {
        var binding = FolderWith("binding", AllFiles[4..]);
        var libTorch = FolderWith("libtorch", AllFiles[..4]);

        var found = TorchInstallation.Find([binding, libTorch]);

        Assert.Equal(binding, Path.GetDirectoryName(found.Binding));
        Assert.Equal(libTorch, Path.GetDirectoryName(found.LibTorch[0]));
    }

    [Fact]
    public void Takes_libtorch_from_one_folder_only()
    {
        var first = FolderWith("first", AllFiles);
        var second = FolderWith("second", AllFiles);

        var found = TorchInstallation.Find([first, second]);

        Assert.All(found.LibTorch, file => Assert.Equal(first, Path.GetDirectoryName(file)));
    }

    [Fact]
    public void Nothing_installed_names_the_package_and_the_folders()
    {
        var folder = FolderWith("native", "libLibTorchSharp.so");

        var failure = Assert.Throws<DllNotFoundException>(() => TorchInstallation.Find([folder]));

        Assert.StartsWith("libtorch is not installed", failure.Message, StringComparison.Ordinal);
        AssertNames(failure, folder, "libtorch-cpu-linux-x64 2.10.0", "TorchSharp-cpu", "libtorch-cuda-12.8-linux-x64");
    }

    [Theory]
    [InlineData("libgomp-0a1b2c3d.so.1", "libgomp*.so.1")]
    [InlineData("libc10.so", "libc10.so")]
    [InlineData("libtorch_cpu.so", "libtorch_cpu.so")]
    [InlineData("libtorch.so", "libtorch.so")]
    public void A_missing_file_of_libtorch_is_named_with_its_folder_and_package(string missing, string named)
    {
        var folder = FolderWith("native", [.. AllFiles.Except([missing])]);

        var failure = Assert.Throws<DllNotFoundException>(() => TorchInstallation.Find([folder]));

        Assert.StartsWith($"libtorch is only half installed: {folder} has no {named}.", failure.Message, StringComparison.Ordinal);
        AssertNames(failure, "libtorch-cpu-linux-x64 2.10.0");
    }

    [Fact]
    public void A_missing_binding_is_named_with_its_package()
    {
        var folder = FolderWith("native", AllFiles[..4]);

        var failure = Assert.Throws<DllNotFoundException>(() => TorchInstallation.Find([folder]));

        AssertNames(failure, "libLibTorchSharp.so", folder, "package TorchSharp ");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(100)]
    public void A_truncated_file_is_reported(int length)
    {
        var folder = FolderWith("native", AllFiles);
        var file = Path.Combine(folder, "libtorch_cpu.so");
        File.WriteAllBytes(file, Library(length));

        var failure = Assert.Throws<DllNotFoundException>(() => TorchInstallation.Find([folder]));

        AssertNames(failure, $"{file} is truncated", "libtorch-cpu-linux-x64");
    }

    [Fact]
    public void A_program_without_libtorch_may_have_nothing_to_do_with_it()
    {
        var folder = FolderWith("native", "libLibTorchSharp.so");

        Assert.Null(TorchInstallation.FindIfAny([Path.Combine(_root.FullName, "absent"), folder]));
    }

    [Fact]
    public void The_advised_version_is_the_one_torchsharp_wants() =>
        Assert.StartsWith(TorchInstallation.LibTorchVersion, TorchSharp.torch.__version__, StringComparison.Ordinal);

    private static void AssertNames(Exception failure, params string[] words)
    {
        foreach (var word in words)
            Assert.Contains(word, failure.Message, StringComparison.Ordinal);
    }

    /// <summary>The smallest whole shared object, an ELF header and one program header, cut to <paramref name="length"/> bytes.</summary>
    private static byte[] Library(int length = 120)
    {
        var library = new byte[120];
        byte[] identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(library, 0);
        library[16] = 3;   // e_type: shared object
        library[18] = 62;  // e_machine: x86-64
        library[32] = 64;  // e_phoff
        library[54] = 56;  // e_phentsize
        library[56] = 1;   // e_phnum
        library[96] = 120; // p_filesz
        return library[..length];
    }

    private string FolderWith(string name, params string[] files)
    {
        var folder = _root.CreateSubdirectory(name).FullName;
        foreach (var file in files)
            File.WriteAllBytes(Path.Combine(folder, file), Library());
        return folder;
    }
}
