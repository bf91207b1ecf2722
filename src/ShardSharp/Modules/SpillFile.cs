using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;

namespace ShardSharp.Modules;

/// <summary>
/// Memory for tensors in a file on disk: the kernel writes out what does not fit, and <see cref="LetGo()"/> bounds what is resident.
/// </summary>
/// <remarks>
/// The file has no name and goes with the last of its memory, whatever happens to the process. Room on the disk is taken before memory is
/// handed out: a disk that is full is an error then, not a signal when the memory is written to.
/// </remarks>
internal sealed unsafe class SpillFile : IDisposable
{
    private const long SmallestExtent = 1L << 30;
    private const long CopiedAtOnce = 1 << 24;

    /// <summary>libtorch frees by address alone, on any thread, long after anyone who might know has gone.</summary>
    private static readonly ConcurrentDictionary<nint, SpillFile> Owners = new();

    private readonly Lock _gate = new();
    private readonly FileStream _stream;
    private readonly string _folder;
    private readonly Dictionary<nint, Block> _blocks = [];
    private readonly List<Extent> _extents = [];
    private readonly SpillPurpose _purpose;

    /// <summary>What was freed, by length, to be handed out again: a step needs the same sizes as the one before.</summary>
    private readonly Dictionary<long, Stack<Block>> _freed = [];

    /// <param name="folder">Where the file is made, readable by this user alone; it has no name there.</param>
    /// <param name="purpose">What it is for; building a model if null.</param>
    /// <exception cref="IOException">No file can be made there.</exception>
    public SpillFile(string folder, SpillPurpose? purpose = null)
    {
        (_folder, _purpose) = (folder, purpose ?? SpillPurpose.Construction);
        var path = Path.Combine(folder, $"shardsharp-{Guid.NewGuid():N}");
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.None, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        _stream = new FileStream(path, options);
        System.IO.File.Delete(path);
    }

    /// <summary>Bytes handed out and not freed.</summary>
    public long BytesInUse { get; private set; }

    /// <summary>Memory from the file, beginning at a page.</summary>
    /// <exception cref="IOException">The disk is full, or the system gives no address space.</exception>
    public nint Allocate(long bytes)
    {
        var length = (bytes + Environment.SystemPageSize - 1) / Environment.SystemPageSize * Environment.SystemPageSize;
        lock (_gate)
        {
            var block = _freed.TryGetValue(length, out var freed) && freed.TryPop(out var again) ? Reserved(again) : AllocateNew(length);
            BytesInUse += length;
            _blocks.Add(block.Address, block);
            Owners[block.Address] = this;
            return block.Address;
        }
    }

    /// <summary>Frees memory that an instance handed out; may be called after its end.</summary>
    public static void Free(nint address)
    {
        if (Owners.TryRemove(address, out var owner))
            owner.FreeBlock(address);
    }

    /// <summary>Whether an instance handed out that memory, and it has not been freed.</summary>
    public static bool Owns(nint address) => Owners.ContainsKey(address);

    /// <summary>Lets go of all resident pages, whose contents stay with the file, and has the kernel begin to write them.</summary>
    public void LetGo()
    {
        lock (_gate)
        {
            if (IsClosed)
                return;
            foreach (var extent in _extents)
                FileMemory.LetGo(extent.Address, extent.Used);
            FileMemory.BeginWriting(File);
        }
    }

    /// <summary>Whether memory that was handed out begins here.</summary>
    public bool Holds(nint address)
    {
        lock (_gate)
            return _blocks.ContainsKey(address);
    }

    /// <summary>The pages of memory that was handed out and begins here.</summary>
    public (nint Address, long Length) PagesOf(nint address)
    {
        lock (_gate)
            return (address, _blocks[address].Length);
    }

    /// <summary>Lets go of the resident pages of some memory, whose contents stay with the file, and has the kernel begin to write them.</summary>
    public void LetGo(nint address, long length)
    {
        lock (_gate)
        {
            if (IsClosed || !_blocks.TryGetValue(address, out var block))
                return;
            FileMemory.LetGo(address, length);
            FileMemory.BeginWriting(File, block.Offset, length);
        }
    }

    /// <summary>
    /// Moves what has not been freed to ordinary memory, in place: pointers stay valid, whoever holds them. Ends the file; once ended, does
    /// nothing.
    /// </summary>
    /// <exception cref="InsufficientMemoryException">The system does not give that much.</exception>
    public void MoveToMemory()
    {
        lock (_gate)
        {
            if (IsClosed)
                return;
            var buffer = NativeMemory.Alloc((nuint)CopiedAtOnce);
            try
            {
                foreach (var block in _blocks.Values)
                {
                    for (long done = 0; done < block.Length; done += CopiedAtOnce)
                        MoveToMemory(block, done, Math.Min(CopiedAtOnce, block.Length - done), buffer);
                }
            }
            finally
            {
                NativeMemory.Free(buffer);

                // Also after a failure: from now on nobody may let go of pages that may be ordinary memory.
                Close();
            }
        }
    }

    /// <summary>Ends the file; what has not been freed stays valid until it is, and keeps its room on the disk until then.</summary>
    public void Dispose()
    {
        lock (_gate)
            Close();
    }

    private SafeFileHandle File => _stream.SafeFileHandle;

    private bool IsClosed => !_stream.CanWrite;

    private Block AllocateNew(long length)
    {
        if (_extents.Count == 0 || _extents[^1].Free < length)
            AddExtent(Math.Max(length, SmallestExtent));
        var extent = _extents[^1];
        var block = Reserved(new Block(extent.Address + (nint)extent.Used, extent.Offset + extent.Used, length));
        extent.Used += length;
        return block;
    }

    private Block Reserved(Block block)
    {
        Reserve(block);
        return block;
    }

    private void Reserve(Block block)
    {
        try
        {
            // Asked first: a reservation that fails fills the disk before it does.
            var free = new DriveInfo(_folder).AvailableFreeSpace;
            if (block.Length > free)
                throw new IOException($"{free >> 20} MiB are free");
            FileMemory.Reserve(File, block.Offset, block.Length);
        }
        catch (IOException failure)
        {
            FileMemory.Discard(File, block.Offset, block.Length);
            throw new IOException(
                $"A tensor of {block.Length >> 20} MiB found no room in folder {_folder}, beside {BytesInUse >> 20} MiB of "
                + $"{_purpose.Contents}: {failure.Message}. Make room there, or choose another folder: {_purpose.FolderKey}.", failure);
        }
    }

    private void AddExtent(long length)
    {
        var offset = _extents.Count == 0 ? 0 : _extents[^1].Offset + _extents[^1].Length;
        _extents.Add(new Extent(FileMemory.Map(File, offset, length), offset, length));
    }

    private void MoveToMemory(Block block, long start, long length, void* buffer)
    {
        var address = block.Address + (nint)start;
        Buffer.MemoryCopy((void*)address, buffer, length, length);
        if (!FileMemory.ReplaceByMemory(address, length))
        {
            throw new InsufficientMemoryException(
                $"The {BytesInUse >> 20} MiB of the model that this rank holds do not fit in the memory it may use. Shard the model over more "
                + "ranks, or raise the limit (ulimit -d, or the container's).");
        }

        Buffer.MemoryCopy(buffer, (void*)address, length, length);
        FileMemory.Discard(File, block.Offset + start, length);
    }

    /// <summary>Blocks keep their addresses; everything between them goes.</summary>
    private void Close()
    {
        if (IsClosed)
            return;
        _stream.Dispose();
        foreach (var extent in _extents)
        {
            var free = extent.Address;
            foreach (var block in _blocks.Values.Where(extent.Contains).OrderBy(block => block.Address))
            {
                Unmap(free, block.Address);
                free = block.Address + (nint)block.Length;
            }

            Unmap(free, extent.Address + (nint)extent.Length);
        }

        static void Unmap(nint from, nint to)
        {
            if (from < to)
                FileMemory.Unmap(from, to - from);
        }
    }

    private void FreeBlock(nint address)
    {
        lock (_gate)
        {
            _blocks.Remove(address, out var block);
            BytesInUse -= block.Length;
            if (IsClosed)
                FileMemory.Unmap(block.Address, block.Length);
            else
                MakeFree(block);
        }
    }

    private void MakeFree(Block block)
    {
        FileMemory.Discard(File, block.Offset, block.Length);
        if (!_freed.TryGetValue(block.Length, out var freed))
            _freed[block.Length] = freed = [];
        freed.Push(block);
    }

    private readonly record struct Block(nint Address, long Offset, long Length);

    /// <summary>A range of the file that is mapped at once and handed out from its start.</summary>
    private sealed record Extent(nint Address, long Offset, long Length)
    {
        public long Used { get; set; }

        public long Free => Length - Used;

        public bool Contains(Block block) => block.Address >= Address && block.Address < Address + (nint)Length;
    }
}
