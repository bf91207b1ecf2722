using ShardSharp.Communication.Local;
using ShardSharp.Communication.Mpi;
using static TorchSharp.torch;

namespace ShardSharp.Communication.Nccl;

/// <summary>How the ranks of a group find out that they gave their GPUs different operations: by telling each other through the host.</summary>
/// <remarks>
/// It happens in the background while the GPUs work, so it costs a program nothing but some microseconds of another thread. Operations that
/// differ make NCCL hang or mix up data; the disagreement then ends them with an error that says who called what.
/// </remarks>
internal sealed unsafe class CallAgreement(ProcessGroup host) : IDisposable
{
    private const int LayoutOffset = PublishedSignature.Bytes;
    private const int BlockBytes = LayoutOffset + 64;

    private readonly NativeBuffer _mine = new(BlockBytes);
    private readonly NativeBuffer _all = new((long)BlockBytes * host.Size);

    /// <summary>Returns when all ranks have called the same.</summary>
    /// <exception cref="CollectiveMismatchException">They have not.</exception>
    public void Reach(in CollectiveCall call)
    {
        new PublishedSignature(_mine.Address).Publish(CollectiveSignature.Of(call, call.Sequence), call.Site);
        *(long*)(_mine.Address + LayoutOffset) = LayoutOf(call);
        host.Perform(new CollectiveCall(
            CollectiveKind.AllGather, ScalarType.Byte, new FlatBuffer(_mine.Address, BlockBytes),
            new FlatBuffer(_all.Address, (long)BlockBytes * host.Size), default, -1, call.Site)
        {
            InBackground = true,
            Sequence = call.Sequence,
        });
        var same = true;
        for (var member = 0; member < host.Size; member++)
        {
            if (!SignatureOf(member).Value.Matches(SignatureOf(host.Rank).Value))
                throw Mismatch("called different operations, or gave them different sizes, types or roots");
            same &= *(long*)(BlockOf(member) + LayoutOffset) == LayoutOf(call);
        }

        if (!same)
            throw Mismatch("gave lists of tensors that differ in the tensors' sizes, which NCCL needs to be the same");
    }

    public void Dispose()
    {
        _mine.Dispose();
        _all.Dispose();
    }

    private byte* BlockOf(int member) => _all.Address + ((long)member * BlockBytes);

    private PublishedSignature SignatureOf(int member) => new(BlockOf(member));

    private CollectiveMismatchException Mismatch(string what)
    {
        var calls = Enumerable.Range(0, host.Size).Select(
            member => $"{Environment.NewLine}  rank {host.GlobalRanks[member]}: {SignatureOf(member)}");
        return new CollectiveMismatchException($"The ranks of group '{host.Name}' {what}:{string.Concat(calls)}");
    }

    /// <summary>Tells lists of tensors apart that hold as many elements altogether (FNV-1a over the lengths).</summary>
    private static long LayoutOf(in CollectiveCall call)
    {
        if (call.Kind is not (CollectiveKind.AllReduce or CollectiveKind.Broadcast or CollectiveKind.ReduceScatter))
            return 0;
        var memory = call.Input.Length > 0 ? call.Input : call.Output;
        var hash = 14695981039346656037;
        foreach (var piece in memory.Runs(0, memory.Length))
            hash = (hash ^ (ulong)piece.Length) * 1099511628211;
        return (long)hash;
    }
}
