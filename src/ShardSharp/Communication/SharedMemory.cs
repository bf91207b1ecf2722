using ShardSharp.Communication.Local;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Memory that all ranks of a group read and write: what one stores, the others see. Made by <see cref="ProcessGroup.AllocateShared"/>.</summary>
/// <remarks>
/// <para>It begins as zeros, and pages that no rank ever touches are never allocated. Only the ranks of the group reach it; it has no name
/// in any file system and ends with the last rank that has it, however that rank ends.</para>
/// <para>Nothing but the callers orders their accesses: a rank that reads what another wrote needs a collective of the group, such as
/// <see cref="ProcessGroup.Barrier"/>, between the two.</para>
/// <para>Collectives of these ranks, and of some of them, read and write tensors that lie in it in place, where those of all ranks do;
/// gathering shares that all lie where they belong costs no more than a barrier.</para>
/// <para>Each rank disposes its own object, in any order and independently of the group; the others keep the memory. One that is never
/// disposed keeps it as long as the process lives.</para>
/// </remarks>
public sealed unsafe class SharedMemory : IDisposable
{
    private readonly MemoryRegion _region;
    private readonly HashSet<int> _globalRanks;
    private readonly SharedMemories? _registry;
    private bool _disposed;

    /// <param name="region">The memory, owned from now on.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="number">What all ranks of the run know it by.</param>
    /// <param name="globalRanks">World rank of everyone that has it.</param>
    /// <param name="registry">Told that it is there, and when it is there no more; null for none.</param>
    internal SharedMemory(MemoryRegion region, long length, long number, IReadOnlyList<int> globalRanks, SharedMemories? registry)
    {
        (_region, Length, Number, _globalRanks, _registry) = (region, length, number, [.. globalRanks], registry);
        registry?.Add(this);
    }

    /// <summary>Memory that this rank has for itself.</summary>
    internal static SharedMemory Private(long bytes) => new(new ProcessMemoryRegion(bytes).Share(), bytes, number: 1, globalRanks: [], registry: null);

    /// <summary>Address of the first byte in this process, at the start of a page; it differs between processes.</summary>
    /// <exception cref="ObjectDisposedException">The memory has been disposed.</exception>
    public nint Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return (nint)_region.Address;
        }
    }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>What all ranks of the run know it by; above 0.</summary>
    internal long Number { get; }

    /// <summary>First byte.</summary>
    internal byte* Start => _region.Address;

    /// <summary>Whether all of these ranks have it.</summary>
    internal bool IsOf(IReadOnlyList<int> globalRanks)
    {
        foreach (var rank in globalRanks)
        {
            if (!_globalRanks.Contains(rank))
                return false;
        }

        return true;
    }

    /// <summary>A contiguous CPU tensor over a part of the memory, without copying.</summary>
    /// <param name="offset">Bytes from the start of the memory to the first element; a multiple of the size of an element.</param>
    /// <param name="shape">The tensor's shape.</param>
    /// <param name="type">Type of its elements.</param>
    /// <returns>
    /// The tensor. It does not keep the memory: dispose this object only when neither the tensor nor any view of it, autograd's included, is
    /// used any more.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">The tensor would not lie within the memory.</exception>
    /// <exception cref="ArgumentException"><paramref name="offset"/> is not aligned for the type.</exception>
    /// <exception cref="ObjectDisposedException">The memory has been disposed.</exception>
    public Tensor View(long offset, ReadOnlySpan<long> shape, ScalarType type)
    {
        var (elements, size) = (1L, ElementTypes.SizeOf(type));
        foreach (var extent in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(extent, nameof(shape));
            elements = checked(elements * extent);
        }

        if (offset < 0 || offset > Length || elements > (Length - offset) / size)
        {
            throw new ArgumentOutOfRangeException(
                nameof(offset), $"{elements} elements of {type} from byte {offset} on do not lie within shared memory of {Length} bytes.");
        }

        if (offset % size != 0)
            throw new ArgumentException($"Elements of {type} begin at multiples of {size} bytes; byte {offset} is none.", nameof(offset));
        return TensorMemory.FromPointer(Address + (nint)offset, shape, type);
    }

    /// <summary>Gives the pages that lie within a range of private memory back to the system; what is read there next are zeros.</summary>
    internal void Discard(long offset, long length) => PageMemory.Discard((byte*)Address + offset, length);

    /// <summary>Lets go of the memory in this rank; the other ranks keep it.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _registry?.Remove(this);
        _region.Dispose();
    }
}
