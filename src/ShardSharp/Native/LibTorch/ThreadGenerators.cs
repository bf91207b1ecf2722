using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace ShardSharp.Native;

/// <summary>
/// Gives threads a default random generator of their own. libtorch has one for the process, so ranks that are threads would draw their numbers
/// from each other's sequence, in an order that nobody knows and no recomputation could repeat. On Linux x64.
/// </summary>
/// <remarks>
/// Everything in libtorch that draws without being given a generator asks <c>at::detail::getDefaultCPUGenerator</c> (aten/src/ATen/CPUGeneratorImpl.h)
/// through a slot of its import table; so does TorchSharp's part. The slots are made to point to a few instructions that look the thread up first.
/// Threads that have none get that of the process, as ever.
/// </remarks>
internal static unsafe partial class ThreadGenerators
{
    private const int Capacity = 4096;

    /// <summary>The thread of an entry that is free again; zero ends the table.</summary>
    private const nint Nobody = 1;

    private static readonly Lock Gate = new();
    private static readonly Entry* Table = (Entry*)NativeMemory.AllocZeroed((nuint)(Capacity + 1), (nuint)sizeof(Entry));
    private static readonly Lazy<bool> Installed = new(TryInstall);

    private static ReadOnlySpan<byte> Symbol => "_ZN2at6detail22getDefaultCPUGeneratorEv"u8;

    /// <summary>
    /// const at::Generator&amp; getDefaultCPUGenerator(): fs:[0] is the thread's own address (System V ABI, "Thread-Local Storage").
    /// </summary>
    private static ReadOnlySpan<byte> Code =>
    [
        0xf3, 0x0f, 0x1e, 0xfa,                               // endbr64
        0x48, 0x8b, 0x0d, 0x2d, 0x00, 0x00, 0x00,             // mov  rcx, [table]
        0x64, 0x48, 0x8b, 0x14, 0x25, 0x00, 0x00, 0x00, 0x00, // mov  rdx, fs:[0]
        0x48, 0x8b, 0x01,                                     // next: mov rax, [rcx + Thread]
        0x48, 0x85, 0xc0,                                     // test rax, rax
        0x74, 0x10,                                           // jz   original
        0x48, 0x39, 0xd0,                                     // cmp  rax, rdx
        0x74, 0x06,                                           // je   found
        0x48, 0x83, 0xc1, 0x10,                               // add  rcx, 16
        0xeb, 0xed,                                           // jmp  next
        0x48, 0x8b, 0x41, 0x08,                               // found: mov rax, [rcx + Generator]
        0xc3,                                                 // ret
        0xff, 0x25, 0x0e, 0x00, 0x00, 0x00,                   // original: jmp [libtorch]
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,                   // (the addresses named in brackets follow)
    ];

    /// <summary>Gives this thread a generator of its own until the result is disposed, on any thread; null where that cannot be.</summary>
    /// <param name="seed">Its seed.</param>
    public static IDisposable? TryUse(ulong seed) => Installed.Value ? new Use(seed) : null;

    /// <summary>Whether this thread has one of its own.</summary>
    public static bool IsInUse
    {
        get
        {
            if (Installed is not { IsValueCreated: true, Value: true })
                return false;
            var thread = ThisThread();
            var entry = Table;
            while (entry->Thread is not 0 && entry->Thread != thread)
                entry++;
            return entry->Thread == thread;
        }
    }

    private static bool TryInstall()
    {
        TorchLibrary.Load();
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64
            || !NativeLibrary.TryLoad("torch_cpu", typeof(ThreadGenerators).Assembly, searchPath: null, out var libtorch)
            || !NativeLibrary.TryLoad("LibTorchSharp", typeof(TorchSharp.torch).Assembly, searchPath: null, out var binding)
            || !NativeLibrary.TryGetExport(libtorch, "_ZN2at6detail22getDefaultCPUGeneratorEv", out var original)
            || !NativeLibrary.TryGetExport(binding, "THSGenerator_manual_seed", out var ofBinding))
            return false;
        nint* first = ImportSlots.Find(original, Symbol), second = ImportSlots.Find(ofBinding, Symbol);
        if (first is null || second is null)
            return false;
        var code = ExecutableMemory.TryCreate([.. Code, .. MemoryMarshal.AsBytes<nint>([(nint)Table, original])]);
        if (code == 0)
            return false;
        Volatile.Write(ref *first, code);
        Volatile.Write(ref *second, code);
        return true;
    }

    /// <summary>As in <see cref="TensorAllocator"/>: a thread's number in the C library is the address that fs:[0] holds.</summary>
    [LibraryImport("libc", EntryPoint = "pthread_self")]
    private static partial nint ThisThread();

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public nint Thread;
        public nint Generator;
    }

    private sealed class Use : IDisposable
    {
        private readonly Generator _generator;
        private Entry* _entry;

        public Use(ulong seed)
        {
            _generator = new Generator(seed);
            lock (Gate)
            {
                _entry = Table;
                while (_entry->Thread is not (0 or Nobody))
                    _entry++;
                if (_entry == Table + Capacity)
                    throw new InvalidOperationException($"More than {Capacity} ranks are threads of this process.");

                // A generator's handle is a pointer to an at::Generator. It must be there before the thread that looks for it.
                _entry->Generator = _generator.Handle;
                Volatile.Write(ref _entry->Thread, ThisThread());
            }
        }

        public void Dispose()
        {
            lock (Gate)
            {
                if (_entry is null)
                    return;
                Volatile.Write(ref _entry->Thread, Nobody);
                _entry = null;
            }

            _generator.Dispose();
        }
    }
}
