using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>Loading a library so that plug-ins which it loads later find its symbols: dlopen(3) with RTLD_GLOBAL.</summary>
internal static partial class DynamicLinker
{
    // Since glibc 2.34 libdl.so.2 is an empty library that leads to libc, where the functions are now; musl has them in libc alone.
    private const string Library = "libdl.so.2";
    private const int LazyAndGlobal = 0x101;

    /// <summary>Loads a library by name or path.</summary>
    /// <param name="file">A name for the linker to search, or a path.</param>
    /// <param name="handle">Its handle, good for <see cref="NativeLibrary.GetExport"/>.</param>
    /// <param name="reason">What the linker said if it did not load it.</param>
    public static bool TryLoadGlobally(string file, out nint handle, out string reason)
    {
        // Binding dlerror calls the linker too, which forgets its last error then; so bind it first.
        _ = Error();
        handle = Open(file, LazyAndGlobal);
        reason = handle == 0 ? Marshal.PtrToStringUTF8(Error()) ?? "unknown" : "";
        return handle != 0;
    }

    [LibraryImport(Library, EntryPoint = "dlopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Open(string file, int mode);

    [LibraryImport(Library, EntryPoint = "dlerror")]
    private static partial nint Error();
}
