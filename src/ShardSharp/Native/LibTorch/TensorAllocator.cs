using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>
/// Makes libtorch take the memory of CPU tensors from <c>malloc</c> instead of <c>posix_memalign</c>, so that the C library can use
/// again what a training step has freed. On Linux x64 with glibc; elsewhere libtorch's own allocator stays.
/// </summary>
/// <remarks>
/// <para>
/// libtorch wants tensors on 64-byte boundaries and asks <c>posix_memalign</c> for them. glibc serves that from a free block at least
/// 96 bytes larger than the request, then returns the rest to the heap: the hole a freed tensor leaves is too small for the next tensor
/// of the very same size (glibc bug 14581). A training step allocates the same sizes again and again, so its heap grows at every step,
/// with more than half of it unused. Asking <c>malloc</c> for a little more and aligning within makes holes fit exactly.
/// <c>docs/performance.md</c> has the measurements.
/// </para>
/// <para>
/// The allocator is libtorch's own object with two virtual functions replaced: its table of virtual functions is copied, and
/// <c>allocate</c> and <c>raw_deleter</c> point to <see cref="AllocatorCode"/>. That also counts what tensors hold, and can take the tensors of one thread from
/// elsewhere.
/// </para>
/// Sources: c10/core/Allocator.h, c10/core/CPUAllocator.h; Itanium C++ ABI, "Virtual Table Layout".
/// </remarks>
internal static unsafe partial class TensorAllocator
{
    private const string CoreLibrary = "c10";

    // The table as the compiler emits it: offset to top, type information, then the functions (two destructors, allocate,
    // is_simple_data_ptr, raw_deleter, copy_data). Objects point to the first function.
    private const int TableEntries = 8;
    private const int FirstFunction = 2;
    private const int Allocate = FirstFunction + 2;
    private const int RawDeleter = FirstFunction + 4;

    private static readonly Lazy<bool> Installed = new(TryInstall);
    private static readonly AllocatorCode.Words* Words = (AllocatorCode.Words*)NativeMemory.AllocZeroed((nuint)sizeof(AllocatorCode.Words));
    private static readonly Lock Redirecting = new();

    private static nint _set;
    private static nint* _ordinary;
    private static nint* _everySize;
    private static nint* _used;
    private static (nint Owns, nint Free)[] _elsewhere = [];

    /// <summary>Bytes that the tensors of this process hold, of at least <see cref="AllocatorCode.SmallestBlock"/> each.</summary>
    public static long BytesInUse => Volatile.Read(ref Words->InUse);

    /// <summary>The most that <see cref="BytesInUse"/> has been since <see cref="ResetPeak"/>.</summary>
    public static long PeakBytes => Volatile.Read(ref Words->Peak);

    /// <summary>
    /// Installs it for the whole process, once; tensors that exist already are not touched. Loads libtorch if nobody has.
    /// </summary>
    /// <returns>
    /// Whether it is in use. False where the platform is another, where another allocator or another build of libtorch has taken the place
    /// of the one this was written for, or where the system forbids executable memory: all of that costs memory, not correctness.
    /// </returns>
    public static bool Install() => Installed.Value;

    /// <summary>Begins a new peak. A tensor that another thread makes at this moment may be missing from it.</summary>
    public static void ResetPeak() => Volatile.Write(ref Words->Peak, BytesInUse);

    /// <summary>
    /// Takes the memory of tensors that this thread makes from elsewhere until the result is disposed, on this thread too. One thread at a time:
    /// others wait here. Within one of the same thread it takes the place of that one until its end. The allocator must be installed.
    /// </summary>
    /// <param name="allocate">Memory that begins on a 64-byte boundary; null has libtorch throw. It must not throw itself.</param>
    /// <param name="free">Frees such memory, on any thread, at any time until the process ends.</param>
    /// <param name="owns">Whether memory is such, at its address.</param>
    /// <param name="everySize">Whether tensors below <see cref="AllocatorCode.SmallestBlock"/> are taken as well.</param>
    public static Redirection Redirect(
        delegate* unmanaged<nuint, void*> allocate, delegate* unmanaged<void*, void> free, delegate*<nint, bool> owns, bool everySize = false)
    {
        Redirecting.Enter();
        if (!_elsewhere.Contains(((nint)owns, (nint)free)))
            Volatile.Write(ref _elsewhere, [.. _elsewhere, ((nint)owns, (nint)free)]);
        Volatile.Write(ref Words->FreeElsewhere, (nint)(delegate* unmanaged<void*, byte>)&FreeElsewhere);
        var redirection = new Redirection(Words->Thread, Words->Allocate, Words->Free, (nint)_used);
        (Words->Allocate, Words->Free) = ((nint)allocate, (nint)free);
        Volatile.Write(ref Words->Thread, ThisThread());
        if (everySize)
            Use(_everySize);
        return redirection;
    }

    [UnmanagedCallersOnly]
    private static byte FreeElsewhere(void* memory)
    {
        foreach (var (owns, free) in Volatile.Read(ref _elsewhere))
        {
            if (!((delegate*<nint, bool>)owns)((nint)memory))
                continue;
            ((delegate* unmanaged<void*, void>)free)(memory);
            return 1;
        }

        return 0;
    }

    private static bool TryInstall()
    {
        TorchLibrary.Load();
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64
            || !NativeLibrary.TryLoad(CoreLibrary, typeof(TensorAllocator).Assembly, searchPath: null, out var core)
            || !NativeLibrary.TryGetExport(core, "_ZTVN3c1019DefaultCPUAllocatorE", out var table)
            || !NativeLibrary.TryGetExport(core, "_ZN3c1015GetCPUAllocatorEv", out var get)
            || !NativeLibrary.TryGetExport(core, "_ZN3c1015SetCPUAllocatorEPNS_9AllocatorEh", out var set))
            return false;
        var current = ((delegate* unmanaged<nint>)get)();
        if (current == 0 || *(nint*)current != table + (FirstFunction * sizeof(nint)))
            return false;

        // The process's own malloc and free, whichever library it took them from.
        var process = NativeLibrary.GetMainProgramHandle();
        nint malloc = NativeLibrary.GetExport(process, "malloc"), free = NativeLibrary.GetExport(process, "free");
        var usableSize = NativeLibrary.GetExport(process, "malloc_usable_size");
        var functions = new ReadOnlySpan<nint>((void*)table, TableEntries).ToArray();
        var libtorch = functions[Allocate];
        var libtorchFree = ((delegate* unmanaged<nint, nint>)functions[RawDeleter])(current);
        _set = set;
        _ordinary = Create(AllocatorCode.SmallestBlock);
        _everySize = Create(smallest: 1);
        if (_ordinary == null || _everySize == null)
            return false;
        Use(_ordinary);

        // Only now that freed blocks fit is it worth keeping them.
        GlibcHeap.KeepFreedMemory();
        return true;

        nint* Create(int smallest)
        {
            functions[Allocate] = ExecutableMemory.TryCreate(AllocatorCode.With(Words, malloc, usableSize, free, libtorch, libtorchFree, smallest));
            if (functions[Allocate] == 0)
                return null;
            functions[RawDeleter] = functions[Allocate] + AllocatorCode.RawDeleter;

            // The allocator and its table live as long as the process: libtorch asks for it at any time.
            var allocator = (nint*)NativeMemory.Alloc((nuint)(1 + TableEntries), (nuint)sizeof(nint));
            functions.CopyTo(new Span<nint>(allocator + 1, TableEntries));
            allocator[0] = (nint)(allocator + 1 + FirstFunction);
            return allocator;
        }
    }

    private static void Use(nint* allocator)
    {
        const byte DefaultPriority = 0;
        ((delegate* unmanaged<nint*, byte, void>)_set)(allocator, DefaultPriority);
        _used = allocator;
    }

    /// <summary>On x86-64 a thread's number in the C library is the address that fs:[0] holds (nptl, THREAD_SELF).</summary>
    [LibraryImport("libc", EntryPoint = "pthread_self")]
    private static partial nint ThisThread();

    /// <summary>Ends a <see cref="Redirect"/>.</summary>
    internal sealed class Redirection(nint thread, nint allocate, nint free, nint allocator) : IDisposable
    {
        /// <summary>What the redirection around this one allocates with; 0 if there is none.</summary>
        public nint OuterAllocate => thread == 0 ? 0 : allocate;

        /// <summary>What frees that.</summary>
        public nint OuterFree => free;

        public void Dispose()
        {
            if (_used != (nint*)allocator)
                Use((nint*)allocator);
            Volatile.Write(ref Words->Thread, 0);
            (Words->Allocate, Words->Free) = (allocate, free);
            Volatile.Write(ref Words->Thread, thread);
            Redirecting.Exit();
        }
    }
}
