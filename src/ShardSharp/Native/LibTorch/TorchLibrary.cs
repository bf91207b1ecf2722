using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using TorchSharp;

namespace ShardSharp.Native;

/// <summary>
/// Loads libtorch and TorchSharp's native library, on Linux x64 also where the system's C++ library is older than the one TorchSharp was
/// compiled with (Debian 12, Ubuntu 22.04, Red Hat Enterprise Linux 9).
/// </summary>
/// <remarks>
/// <para>
/// An application seldom needs to call anything here: referencing ShardSharp adds a module initialiser to it, which readies this class
/// before the program's first line; then the libraries are loaded at the first use of <see cref="torch"/>. A program that uses neither
/// needs no libtorch. Call <see cref="Load"/> first of all where that initialiser is absent: in F# and Visual Basic programs, and with
/// the MSBuild property <c>ShardSharpLoadsTorch</c> set to <c>false</c>.
/// </para>
/// <para>
/// An application without libtorch hears of it from <see cref="Load"/>, or within TorchSharp's own exception at the first use of
/// <see cref="torch"/>. A half installed or damaged libtorch is reported before the program's first line: the dynamic linker would end the
/// process on a truncated file without a message, and TorchSharp would bury what is missing in its own trace.
/// </para>
/// </remarks>
public static class TorchLibrary
{
    /// <summary>The name under which TorchSharp imports its native library.</summary>
    private const string Binding = "LibTorchSharp";

    private const string CppLibrary = "libstdc++.so.6";

    private static readonly Lazy<nint> BindingHandle = new(LoadInstalled);

    /// <summary>
    /// Loads the libraries now. Any number of threads may call this any number of times; only the first call does anything. On systems
    /// other than Linux x64 TorchSharp loads its libraries itself, at its first use, and this does nothing.
    /// </summary>
    /// <exception cref="DllNotFoundException">
    /// A file is missing or damaged, or the system is too old; the message names the file, the folders that were searched and the package
    /// to add.
    /// </exception>
    public static void Load()
    {
        if (IsLoadedHere)
            _ = BindingHandle.Value;
    }

    /// <summary>Looks whether <see cref="Load"/> will find the libraries, without loading them.</summary>
    /// <exception cref="DllNotFoundException">A file is missing or damaged.</exception>
    internal static void RequireInstalled()
    {
        if (IsLoadedHere)
            _ = TorchInstallation.Find(TorchInstallation.DefaultFolders());
    }

    /// <summary>
    /// Has <see cref="Load"/> done when TorchSharp asks the runtime for its native library and the runtime finds none that loads.
    /// </summary>
    /// <exception cref="DllNotFoundException">libtorch is half installed or damaged.</exception>
    internal static void LoadOnFirstUse()
    {
        if (!IsLoadedHere)
            return;
        _ = TorchInstallation.FindIfAny(TorchInstallation.DefaultFolders());
        AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly)!.ResolvingUnmanagedDll += Resolve;
    }

    private static bool IsLoadedHere => OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64;

    private static nint Resolve(Assembly importer, string library) =>
        library == Binding && importer == typeof(torch).Assembly ? BindingHandle.Value : 0;

    private static nint LoadInstalled() => LoadFrom(TorchInstallation.Find(TorchInstallation.DefaultFolders()));

    /// <summary>Loads an installation; a process can load only one.</summary>
    /// <exception cref="DllNotFoundException">The system is too old or a file damaged.</exception>
    internal static nint LoadFrom(TorchInstallation installation)
    {
        foreach (var file in installation.LibTorch)
            NativeLibrary.Load(file);
        return NativeLibrary.TryLoad(installation.Binding, out var handle) ? handle : LoadAdapted(installation.Binding);
    }

    /// <summary>Loads the library after adapting a copy of it, in memory, to the C++ library of this process.</summary>
    private static nint LoadAdapted(string file)
    {
        try
        {
            var image = new ElfImage(File.ReadAllBytes(file), file);
            var system = LoadedLibraries.Find(CppLibrary)
                ?? throw new NotSupportedException($"{file} needs {CppLibrary}, which this process has not loaded.");
            var offered = DefinedSymbols.Of(new ElfImage(File.ReadAllBytes(system), system));
            var adapted = SymbolVersionRewrite.Apply(image, CppLibrary, offered);
            if (ReferenceEquals(adapted, image.Bytes))
                return NativeLibrary.Load(file); // The C++ library is not what is amiss: the linker's own words say what is.

            using var copy = AnonymousFile.Create(Path.GetFileName(file));
            RandomAccess.Write(copy, adapted, fileOffset: 0);
            var handle = NativeLibrary.Load($"/proc/self/fd/{copy.DangerousGetHandle()}");
            // From here on the descriptor stays open: glibc knows the library by this path, and must not take another file that gets the
            // same number for it.
            copy.SetHandleAsInvalid();
            return handle;
        }
        catch (Exception failure) when (failure is NotSupportedException or InvalidDataException or IOException)
        {
            throw new DllNotFoundException($"TorchSharp's native library does not load on this system: {failure.Message}", failure);
        }
    }
}
