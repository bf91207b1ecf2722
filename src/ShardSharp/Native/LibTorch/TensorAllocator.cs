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
/// with more than half of it unused. Asking <c>malloc</c> for 64 bytes more and aligning within makes holes fit exactly.
/// <c>docs/performance.md</c> has the measurements.
/// </para>
/// <para>
/// The allocator is libtorch's own object with one virtual function replaced: its table of virtual functions is copied and
/// <c>allocate</c> points to the code below. That is machine code because a failed allocation has to reach libtorch's function, which
/// throws a C++ exception, and such an exception cannot pass through managed code.
/// </para>
/// Sources: c10/core/Allocator.h (Allocator, DataPtr), c10/core/CPUAllocator.h; Itanium C++ ABI, "Virtual Table Layout";
/// System V ABI for x86-64, "Parameter Passing" (a DataPtr is returned through a hidden first argument).
/// </remarks>
internal static class TensorAllocator
{
    /// <summary>Smaller tensors come from libtorch's own allocator: their holes are small, and there are many of them. In bytes.</summary>
    internal const int SmallestBlock = 64 * 1024;

    private const string CoreLibrary = "c10";

    // The table as the compiler emits it: offset to top, type information, then the functions (two destructors, allocate,
    // is_simple_data_ptr, raw_deleter, copy_data). Objects point to the first function.
    private const int TableEntries = 8;
    private const int FirstFunction = 2;
    private const int Allocate = FirstFunction + 2;

    private static readonly Lazy<bool> Installed = new(TryInstall);

    /// <summary>
    /// c10::DataPtr allocate(c10::Allocator* this, size_t n): rdi is where the DataPtr {data, {deleter, context}, device} goes, rdx is n.
    /// </summary>
    private static ReadOnlySpan<byte> Code =>
    [
        0xf3, 0x0f, 0x1e, 0xfa,                   //          endbr64
        0x48, 0x81, 0xfa, 0x00, 0x00, 0x01, 0x00, //          cmp   rdx, SmallestBlock
        0x7c, 0x39,                               //          jl    original        ; signed: absurd sizes are libtorch's to refuse
        0x57,                                     //          push  rdi
        0x56,                                     //          push  rsi
        0x52,                                     //          push  rdx
        0x48, 0x8d, 0x7a, 0x40,                   //          lea   rdi, [rdx + 64]
        0xff, 0x15, 0x36, 0x00, 0x00, 0x00,       //          call  [malloc]
        0x5a,                                     //          pop   rdx
        0x5e,                                     //          pop   rsi
        0x5f,                                     //          pop   rdi
        0x48, 0x85, 0xc0,                         //          test  rax, rax
        0x74, 0x24,                               //          jz    original
        0x48, 0x8d, 0x48, 0x3f,                   //          lea   rcx, [rax + 63]
        0x48, 0x83, 0xe1, 0xc0,                   //          and   rcx, -64
        0x48, 0x89, 0x0f,                         //          mov   [rdi], rcx      ; data
        0x48, 0x8b, 0x0d, 0x24, 0x00, 0x00, 0x00, //          mov   rcx, [free]
        0x48, 0x89, 0x4f, 0x08,                   //          mov   [rdi + 8], rcx  ; deleter
        0x48, 0x89, 0x47, 0x10,                   //          mov   [rdi + 16], rax ; context, what the deleter gets
        0x66, 0xc7, 0x47, 0x18, 0x00, 0xff,       //          mov   word ptr [rdi + 24], 0xff00 ; device: CPU, index -1
        0x48, 0x89, 0xf8,                         //          mov   rax, rdi
        0xc3,                                     //          ret
        0xff, 0x25, 0x14, 0x00, 0x00, 0x00,       // original: jmp  [allocate]
        0xcc, 0xcc, 0xcc, 0xcc,                   //          (the addresses of malloc, free and libtorch's allocate follow)
    ];

    /// <summary>
    /// Installs it for the whole process, once; tensors that exist already are not touched. Loads libtorch if nobody has.
    /// </summary>
    /// <returns>
    /// Whether it is in use. False where the platform is another, where another allocator or another build of libtorch has taken the place
    /// of the one this was written for, or where the system forbids executable memory: all of that costs memory, not correctness.
    /// </returns>
    public static bool Install() => Installed.Value;

    private static unsafe bool TryInstall()
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
        var functions = new ReadOnlySpan<nint>((void*)table, TableEntries).ToArray();
        Span<byte> code = [.. Code, .. Bytes([malloc, free, functions[Allocate]])];
        functions[Allocate] = ExecutableMemory.TryCreate(code);
        if (functions[Allocate] == 0)
            return false;

        // The allocator and its table live as long as the process: libtorch asks for it at any time.
        var allocator = (nint*)NativeMemory.Alloc((nuint)(1 + TableEntries), (nuint)sizeof(nint));
        functions.CopyTo(new Span<nint>(allocator + 1, TableEntries));
        allocator[0] = (nint)(allocator + 1 + FirstFunction);
        const byte DefaultPriority = 0;
        ((delegate* unmanaged<nint*, byte, void>)set)(allocator, DefaultPriority);

        // Only now that freed blocks fit is it worth keeping them.
        GlibcHeap.KeepFreedMemory();
        return true;
    }

    private static byte[] Bytes(ReadOnlySpan<nint> words) => MemoryMarshal.AsBytes(words).ToArray();
}
