using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    /// <summary>Copies the root's tensor into every other rank's.</summary>
    /// <param name="tensor">Source on the root, result elsewhere, of the same number of elements on every rank.</param>
    /// <param name="root">Group rank that has the data.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Broadcast(Tensor tensor, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Broadcast([tensor], root, file, line);

    /// <summary>Copies the root's tensors into every other rank's, as one operation.</summary>
    /// <param name="tensors">Sources on the root, results elsewhere; together they hold the same number of elements, of one type.</param>
    /// <inheritdoc cref="Broadcast(Tensor, int, string, int)"/>
    public void Broadcast(ReadOnlySpan<Tensor> tensors, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, tensors, written: Rank != root, outlive: false);
        Run(BroadcastCall(lease, root, new CallSite(file, line)));
    }

    /// <inheritdoc cref="Broadcast(Tensor, int, string, int)"/>
    public Work BroadcastAsync(Tensor tensor, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var lease = TensorLease.Of(Devices, [tensor], written: Rank != root, outlive: true);
        return Start(BroadcastCall(lease, root, new CallSite(file, line)), lease);
    }

    /// <summary>Combines the ranks' tensors element by element and leaves the result in the root's tensor.</summary>
    /// <param name="tensor">Contribution; on the root also the result. Other ranks' tensors keep their contents.</param>
    /// <param name="root">Group rank that gets the result.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Reduce(Tensor tensor, int root, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, [tensor], written: Rank == root, outlive: false);
        Run(ReduceCall(lease, root, operation, new CallSite(file, line)));
    }

    /// <inheritdoc cref="Reduce(Tensor, int, ReduceOperation, string, int)"/>
    public Work ReduceAsync(Tensor tensor, int root, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        var lease = TensorLease.Of(Devices, [tensor], written: Rank == root, outlive: true);
        return Start(ReduceCall(lease, root, operation, new CallSite(file, line)), lease);
    }

    /// <summary>Collects every rank's tensor, in rank order, on the root.</summary>
    /// <param name="output">On the root <see cref="Size"/> times the elements of <paramref name="input"/>; null elsewhere.</param>
    /// <param name="input">Contribution, of the same number of elements on every rank.</param>
    /// <param name="root">Group rank that gets the result.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Gather(Tensor? output, Tensor input, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Exchange(CollectiveKind.Gather, output, input, default, root, new CallSite(file, line));

    /// <inheritdoc cref="Gather(Tensor?, Tensor, int, string, int)"/>
    public Work GatherAsync(Tensor? output, Tensor input, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        ExchangeAsync(CollectiveKind.Gather, output, input, default, root, new CallSite(file, line));

    /// <summary>Gives each rank its share of the root's tensor: the <c>i</c>-th of <see cref="Size"/> equal shares to rank <c>i</c>.</summary>
    /// <param name="output">Result, of the same number of elements on every rank.</param>
    /// <param name="input">On the root <see cref="Size"/> times the elements of <paramref name="output"/>; null elsewhere.</param>
    /// <param name="root">Group rank that has the data.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Scatter(Tensor output, Tensor? input, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Exchange(CollectiveKind.Scatter, output, input, default, root, new CallSite(file, line));

    /// <inheritdoc cref="Scatter(Tensor, Tensor?, int, string, int)"/>
    public Work ScatterAsync(Tensor output, Tensor? input, int root, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        ExchangeAsync(CollectiveKind.Scatter, output, input, default, root, new CallSite(file, line));

    private CollectiveCall BroadcastCall(in TensorLease lease, int root, CallSite site) =>
        BroadcastCall(lease.ElementType, lease.Memory, root, site) with { Shape = lease.Shape, Device = lease.Device };

    private CollectiveCall BroadcastCall(ScalarType elementType, FlatBuffer memory, int root, CallSite site)
    {
        RequireMember(root, nameof(root));
        return new CollectiveCall(
            CollectiveKind.Broadcast, elementType, Rank == root ? memory : default, Rank == root ? default : memory, default, root, site);
    }

    private CollectiveCall ReduceCall(in TensorLease lease, int root, ReduceOperation operation, CallSite site)
    {
        RequireMember(root, nameof(root));
        ElementTypes.RequireReducible(lease.ElementType, operation);
        return new CollectiveCall(
            CollectiveKind.Reduce, lease.ElementType, lease.Memory, Rank == root ? lease.Memory : default, operation, root, site)
        {
            Shape = lease.Shape,
            Device = lease.Device,
        };
    }

    private void RequireMember(int rank, string name)
    {
        if (rank < 0 || rank >= Size)
            throw new ArgumentOutOfRangeException(name, rank, $"Group '{Name}' has ranks 0..{Size - 1}.");
    }
}
