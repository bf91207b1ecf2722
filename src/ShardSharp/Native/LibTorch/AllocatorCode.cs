using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>
/// libtorch's <c>allocate</c> as <see cref="TensorAllocator"/> replaces it, in x86-64 machine code: a failed allocation has to reach
/// libtorch's own function, which throws a C++ exception, and such an exception cannot pass through managed code.
/// </summary>
/// <remarks>
/// Sources: c10/core/Allocator.h (DataPtr); System V ABI for x86-64, "Parameter Passing" (a DataPtr is returned through a hidden first
/// argument) and "Thread-Local Storage" (the word at fs:[0] is its own address, another one in each thread).
/// </remarks>
internal static class AllocatorCode
{
    /// <summary>Smaller tensors come from libtorch's own allocator: their holes are small, and there are many of them. In bytes.</summary>
    internal const int SmallestBlock = 64 * 1024;

    /// <summary>Where in the code <c>c10::DeleterFnPtr raw_deleter(const c10::Allocator* this)</c> begins.</summary>
    internal const int RawDeleter = 0xf5;

    /// <summary>
    /// c10::DataPtr allocate(c10::Allocator* this, size_t n): rdi is where the DataPtr {data, {deleter, context}, device} goes, rdx is n.
    /// <c>release</c> is the deleter of what came from malloc.
    /// </summary>
    /// <remarks>
    /// <para>malloc is asked for n / 512 - 8 bytes more than n, at least 120, of which 64 may be needed: to begin on a boundary, and for the address that
    /// malloc returned, which lies before that. glibc adds 8 of its own, so a tensor takes n and n / 512: the hole that a large one leaves fits exactly the
    /// smaller ones that have as many elements together, and the other way round. With the same room for all it would fit one of two halves.</para>
    /// <para>Kernels take memory for themselves by <c>raw_allocate</c>, for which the context has to be the data, and give it to the function that
    /// <c>raw_deleter</c> returns, whoever allocated it: from elsewhere, here, or libtorch. Before what libtorch got from the C library are sizes of blocks, no
    /// addresses near by.</para>
    /// </remarks>
    private static ReadOnlySpan<byte> Code =>
    [
        0xf3, 0x0f, 0x1e, 0xfa,                                     // allocate: endbr64
        0x48, 0x81, 0xfa, 0x00, 0x00, 0x01, 0x00,                   //           cmp    rdx, SmallestBlock
        0x0f, 0x8c, 0xbc, 0x00, 0x00, 0x00,                         //           jl     original       ; signed: absurd sizes too
        0x57,                                                       //           push   rdi
        0x56,                                                       //           push   rsi
        0x52,                                                       //           push   rdx
        0x48, 0x8b, 0x05, 0x25, 0x01, 0x00, 0x00,                   //           mov    rax, [words]
        0x64, 0x48, 0x8b, 0x0c, 0x25, 0x00, 0x00, 0x00, 0x00,       //           mov    rcx, fs:[0]    ; this thread
        0x48, 0x3b, 0x08,                                           //           cmp    rcx, [rax + Thread]
        0x75, 0x25,                                                 //           jne    ordinary
        0x48, 0x89, 0xd7,                                           //           mov    rdi, rdx
        0xff, 0x50, 0x08,                                           //           call   [rax + Allocate]
        0x5a,                                                       //           pop    rdx
        0x5e,                                                       //           pop    rsi
        0x5f,                                                       //           pop    rdi
        0x48, 0x8b, 0x0d, 0x07, 0x01, 0x00, 0x00,                   //           mov    rcx, [words]
        0x48, 0x8b, 0x49, 0x10,                                     //           mov    rcx, [rcx + Free]
        0x48, 0x85, 0xc0,                                           //           test   rax, rax
        0x75, 0x73,                                                 //           jnz    fill           ; data, on a boundary already
        0x48, 0xba, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, //           mov    rdx, 2^63 - 1  ; libtorch is to refuse: what was
        0xeb, 0x7f,                                                 //           jmp    original       ; redirected comes from nowhere else
        0x48, 0x89, 0xd7,                                           // ordinary: mov    rdi, rdx
        0x48, 0xc1, 0xef, 0x09,                                     //           shr    rdi, 9
        0x48, 0x8d, 0x7c, 0x17, 0xf8,                               //           lea    rdi, [rdi + rdx - 8]
        0xff, 0x15, 0xe8, 0x00, 0x00, 0x00,                         //           call   [malloc]
        0x48, 0x85, 0xc0,                                           //           test   rax, rax
        0x74, 0x65,                                                 //           jz     failed
        0x50,                                                       //           push   rax
        0x48, 0x83, 0xec, 0x08,                                     //           sub    rsp, 8
        0x48, 0x89, 0xc7,                                           //           mov    rdi, rax
        0xff, 0x15, 0xdd, 0x00, 0x00, 0x00,                         //           call   [malloc_usable_size]
        0x48, 0x8b, 0x0d, 0xc6, 0x00, 0x00, 0x00,                   //           mov    rcx, [words]
        0x48, 0x89, 0xc2,                                           //           mov    rdx, rax
        0xf0, 0x48, 0x0f, 0xc1, 0x51, 0x18,                         //           lock xadd [rcx + InUse], rdx
        0x48, 0x01, 0xc2,                                           //           add    rdx, rax       ; in use now
        0x48, 0x8b, 0x41, 0x20,                                     //           mov    rax, [rcx + Peak]
        0x48, 0x39, 0xc2,                                           // raise:    cmp    rdx, rax
        0x7e, 0x08,                                                 //           jle    counted
        0xf0, 0x48, 0x0f, 0xb1, 0x51, 0x20,                         //           lock cmpxchg [rcx + Peak], rdx
        0x75, 0xf3,                                                 //           jne    raise
        0x48, 0x83, 0xc4, 0x08,                                     // counted:  add    rsp, 8
        0x58,                                                       //           pop    rax
        0x5a,                                                       //           pop    rdx
        0x5e,                                                       //           pop    rsi
        0x5f,                                                       //           pop    rdi
        0x48, 0x8d, 0x0d, 0x2d, 0x00, 0x00, 0x00,                   //           lea    rcx, [release]
        0x48, 0x8d, 0x50, 0x4f,                                     //           lea    rdx, [rax + 79]
        0x48, 0x83, 0xe2, 0xc0,                                     //           and    rdx, -64
        0x48, 0x89, 0x42, 0xf8,                                     //           mov    [rdx - 8], rax ; for release
        0x48, 0x89, 0xd0,                                           //           mov    rax, rdx
        0x48, 0x89, 0x07,                                           // fill:     mov    [rdi], rax      ; data
        0x48, 0x89, 0x4f, 0x08,                                     //           mov    [rdi + 8], rcx  ; deleter
        0x48, 0x89, 0x47, 0x10,                                     //           mov    [rdi + 16], rax ; context, what the deleter gets
        0x66, 0xc7, 0x47, 0x18, 0x00, 0xff,                         //           mov    word ptr [rdi + 24], 0xff00 ; device: CPU, index -1
        0x48, 0x89, 0xf8,                                           //           mov    rax, rdi
        0xc3,                                                       //           ret
        0x5a,                                                       // failed:   pop    rdx
        0x5e,                                                       //           pop    rsi
        0x5f,                                                       //           pop    rdi
        0xff, 0x25, 0x8d, 0x00, 0x00, 0x00,                         // original: jmp    [libtorch]
        0xf3, 0x0f, 0x1e, 0xfa,                                     // release:  endbr64
        0x48, 0x8b, 0x7f, 0xf8,                                     //           mov    rdi, [rdi - 8]
        0x57,                                                       //           push   rdi
        0xff, 0x15, 0x6e, 0x00, 0x00, 0x00,                         //           call   [malloc_usable_size]
        0x5f,                                                       //           pop    rdi
        0x48, 0x8b, 0x0d, 0x56, 0x00, 0x00, 0x00,                   //           mov    rcx, [words]
        0xf0, 0x48, 0x29, 0x41, 0x18,                               //           lock sub [rcx + InUse], rax
        0xff, 0x25, 0x63, 0x00, 0x00, 0x00,                         //           jmp    [free]
        0xf3, 0x0f, 0x1e, 0xfa,                                     // deleter:  endbr64
        0x48, 0x8d, 0x05, 0x01, 0x00, 0x00, 0x00,                   //           lea    rax, [raw]
        0xc3,                                                       //           ret
        0xf3, 0x0f, 0x1e, 0xfa,                                     // raw:      endbr64
        0x48, 0x8b, 0x05, 0x34, 0x00, 0x00, 0x00,                   //           mov    rax, [words]
        0x48, 0x8b, 0x40, 0x28,                                     //           mov    rax, [rax + FreeElsewhere]
        0x48, 0x85, 0xc0,                                           //           test   rax, rax
        0x74, 0x08,                                                 //           jz     here           ; never redirected
        0x57,                                                       //           push   rdi
        0xff, 0xd0,                                                 //           call   rax
        0x5f,                                                       //           pop    rdi
        0x84, 0xc0,                                                 //           test   al, al
        0x75, 0x1b,                                                 //           jnz    done
        0x48, 0x85, 0xff,                                           // here:     test   rdi, rdi
        0x74, 0x16,                                                 //           jz     done
        0x48, 0x89, 0xf8,                                           //           mov    rax, rdi
        0x48, 0x2b, 0x47, 0xf8,                                     //           sub    rax, [rdi - 8] ; from where malloc's memory begins
        0x48, 0xff, 0xc8,                                           //           dec    rax
        0x48, 0x83, 0xf8, 0x40,                                     //           cmp    rax, 64
        0x72, 0xa1,                                                 //           jb     release
        0xff, 0x25, 0x30, 0x00, 0x00, 0x00,                         //           jmp    [libtorch's deleter]
        0xc3,                                                       // done:     ret
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,                   //           (the addresses named in brackets follow)
    ];

    /// <summary>The code with what it refers to: its own words of memory, the functions of the C library, and libtorch's function.</summary>
    /// <param name="words">Its own words.</param>
    /// <param name="malloc">Of the C library.</param>
    /// <param name="usableSize">Of the C library.</param>
    /// <param name="free">Of the C library.</param>
    /// <param name="libtorch">What allocates smaller tensors.</param>
    /// <param name="libtorchFree">What frees them by their address.</param>
    /// <param name="smallest">The smallest tensor that is not left to libtorch, in bytes.</param>
    public static unsafe byte[] With(Words* words, nint malloc, nint usableSize, nint free, nint libtorch, nint libtorchFree, int smallest = SmallestBlock)
    {
        const int Smallest = 7, Room = 89;
        const byte ForAnySize = 64;
        byte[] code = [.. Code, .. MemoryMarshal.AsBytes<nint>([(nint)words, malloc, usableSize, free, libtorch, libtorchFree])];
        BinaryPrimitives.WriteInt32LittleEndian(code.AsSpan(Smallest), smallest);
        if (smallest < SmallestBlock)
            code[Room] = ForAnySize;
        return code;
    }

    /// <summary>What the code reads and writes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Words
    {
        /// <summary>The thread whose tensors come from <see cref="Allocate"/>; 0 for none.</summary>
        public nint Thread;

        /// <summary><c>void* (size_t)</c>: memory that begins on a 64-byte boundary; null refuses.</summary>
        public nint Allocate;

        /// <summary><c>void (void*)</c>: frees what <see cref="Allocate"/> returned, on any thread.</summary>
        public nint Free;

        /// <summary>Bytes that tensors hold of malloc's.</summary>
        public long InUse;

        /// <summary>The most that <see cref="InUse"/> has been.</summary>
        public long Peak;

        /// <summary><c>bool (void*)</c>: frees what some <see cref="Allocate"/> returned, and tells whether it was that; 0 if there never was one.</summary>
        public nint FreeElsewhere;
    }
}
