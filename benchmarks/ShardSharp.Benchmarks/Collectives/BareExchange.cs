using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using ShardSharp.Communication;

namespace ShardSharp.Benchmarks;

/// <summary>What the cores of two ranks need to exchange and add data, if they do nothing else: the bound of a small all_reduce.</summary>
/// <remarks>It depends on where the cores lie, and on virtual machines changes from one minute to the next.</remarks>
internal sealed unsafe class BareExchange
{
    private const int Rounds = 20_000;
    private const int LineBytes = 64;
    private const long FlagBytes = 4096;

    private readonly ProcessGroup _group;
    private readonly byte* _memory;
    private readonly long _bytes;
    private int _step;
    private int _turn;

    /// <param name="group">Two ranks of one host.</param>
    /// <param name="memory">Memory of the group, of <see cref="BytesFor"/> bytes.</param>
    /// <param name="kib">What each rank gives and gets, in KiB.</param>
    private BareExchange(ProcessGroup group, SharedMemory memory, int kib)
    {
        (_group, _bytes) = (group, kib * 1024L);
        _memory = (byte*)memory.Address;
    }

    private static long BytesFor(int kib) => FlagBytes + (4 * SlotBytes(kib * 1024L));

    /// <summary>The bounds of a size, as results.</summary>
    public static IEnumerable<CollectiveResult> Measure(ProcessGroup group, int kib)
    {
        using var memory = group.AllocateShared(BytesFor(kib));
        var bare = new BareExchange(group, memory, kib);
        yield return CollectiveResult.Of("bare", group.Size, "one_way", 0, bare.OneWay());
        yield return CollectiveResult.Of("bare", group.Size, "exchange_and_add", kib, bare.Exchange());
    }

    /// <summary>Microseconds until one rank sees what the other writes.</summary>
    private double OneWay()
    {
        Meet();
        var (mine, theirs) = ((nint)Flag(_group.Rank, 0), (nint)Flag(1 - _group.Rank, 0));
        var began = Stopwatch.GetTimestamp();
        PingPong((int*)mine, (int*)theirs, isFirst: _group.Rank == 0);
        return Stopwatch.GetElapsedTime(began).TotalMicroseconds / (2 * Rounds);
    }

    /// <summary>Microseconds of an exchange; each the time of the slower rank, the median of them.</summary>
    private double Exchange()
    {
        var values = GC.AllocateArray<float>((int)(_bytes / sizeof(float)), pinned: true);
        var microseconds = new double[Rounds];
        fixed (float* own = values)
        {
            for (var i = 0; i < Rounds; i++)
            {
                Meet();
                var began = Stopwatch.GetTimestamp();
                _turn++;
                Exchange(
                    own, Flag(_group.Rank, 2), Flag(1 - _group.Rank, 2), Slot(_group.Rank, _turn), Slot(1 - _group.Rank, _turn),
                    Slot(_group.Rank, _turn + 1), _turn, _bytes / sizeof(float));
                microseconds[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            }
        }

        _group.AllReduce(microseconds, ReduceOperation.Max);
        return Median.Of(microseconds);
    }

    private void Meet()
    {
        _step++;
        Volatile.Write(ref *Flag(_group.Rank, 1), _step);
        AwaitValue(Flag(1 - _group.Rank, 1), _step);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PingPong(int* mine, int* theirs, bool isFirst)
    {
        for (var i = 1; i <= Rounds; i++)
        {
            if (isFirst)
                Volatile.Write(ref *mine, i);
            AwaitValue(theirs, i);
            if (!isFirst)
                Volatile.Write(ref *mine, i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Exchange(float* own, int* mine, int* theirs, byte* slot, byte* theirSlot, byte* nextSlot, int turn, long count)
    {
        for (var i = 0L; i < count; i += Vector<float>.Count)
            Vector.Store(Vector.Load(own + i), (float*)slot + i);
        Volatile.Write(ref *mine, turn);
        AwaitValue(theirs, turn);
        for (var i = 0L; i < count; i += Vector<float>.Count)
            Vector.Store(Vector.Load(own + i) + Vector.Load((float*)theirSlot + i), own + i);
        for (var i = 0L; i < count * sizeof(float); i += LineBytes)
            nextSlot[i] = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AwaitValue(int* word, int value)
    {
        while (Volatile.Read(ref *word) - value < 0)
        {
        }
    }

    private int* Flag(int rank, int number) => (int*)(_memory + (((number * 2) + rank) * 2 * LineBytes));

    private byte* Slot(int rank, int turn) => _memory + FlagBytes + (((rank * 2) + (turn & 1)) * SlotBytes(_bytes));

    /// <summary>Not a multiple of a page, so that no place of one slot looks like the same of another.</summary>
    private static long SlotBytes(long bytes) => bytes + (17 * LineBytes);
}
