using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    /// <summary>Combines the ranks' tensors element by element and leaves the result in every rank's tensor.</summary>
    /// <param name="tensor">Contribution and result, of the same shape and element type on every rank.</param>
    /// <param name="operation">How elements combine.</param>
    /// <param name="file">Filled in by the compiler, for error reports.</param>
    /// <param name="line">Filled in by the compiler, for error reports.</param>
    public void AllReduce(Tensor tensor, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, tensor, written: true, outlive: false);
        Run(InPlace(CollectiveKind.AllReduce, lease, operation, new CallSite(file, line)));
    }

    /// <summary>Combines lists of tensors as one operation, as if they were one long tensor.</summary>
    /// <param name="tensors">Contributions and results; together they hold the same number of elements, of one type, on every rank.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void AllReduce(ReadOnlySpan<Tensor> tensors, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, tensors, written: true, outlive: false);
        Run(InPlace(CollectiveKind.AllReduce, lease, operation, new CallSite(file, line)));
    }

    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public Work AllReduceAsync(Tensor tensor, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0) => AllReduceAsync([tensor], operation, file, line);

    /// <inheritdoc cref="AllReduce(ReadOnlySpan{Tensor}, ReduceOperation, string, int)"/>
    public Work AllReduceAsync(ReadOnlySpan<Tensor> tensors, ReduceOperation operation = ReduceOperation.Sum,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var lease = TensorLease.Of(Devices, tensors, written: true, outlive: true);
        return Start(InPlace(CollectiveKind.AllReduce, lease, operation, new CallSite(file, line)), lease);
    }

    /// <summary>Combines small numbers that are not tensors, such as metrics, in place on every rank.</summary>
    /// <param name="values">Contribution and result, of the same length on every rank.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public unsafe void AllReduce(Span<double> values, ReduceOperation operation = ReduceOperation.Sum, [CallerFilePath] string file = "",
        [CallerLineNumber] int line = 0)
    {
        fixed (double* address = values)
        {
            var memory = new FlatBuffer(address, values.Length * (long)sizeof(double));
            Run(new CollectiveCall(
                CollectiveKind.AllReduce, ScalarType.Float64, memory, memory, operation, NoPeer, new CallSite(file, line)));
        }
    }

    /// <summary>Collects every rank's tensor, in rank order, on all ranks.</summary>
    /// <param name="output">Result: <see cref="Size"/> times the elements of <paramref name="input"/>, rank 0's first.</param>
    /// <param name="input">Contribution, of the same number of elements on every rank.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void AllGather(Tensor output, Tensor input, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Exchange(CollectiveKind.AllGather, output, input, default, NoPeer, new CallSite(file, line));

    /// <inheritdoc cref="AllGather(Tensor, Tensor, string, int)"/>
    public Work AllGatherAsync(Tensor output, Tensor input, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        ExchangeAsync(CollectiveKind.AllGather, output, input, default, NoPeer, new CallSite(file, line));

    /// <summary>Combines the ranks' tensors element by element and leaves each rank its own share of the result.</summary>
    /// <param name="output">Result: the <see cref="Rank"/>-th of <see cref="Size"/> equal shares.</param>
    /// <param name="input">Contribution: <see cref="Size"/> times the elements of <paramref name="output"/>.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void ReduceScatter(Tensor output, Tensor input, ReduceOperation operation = ReduceOperation.Sum,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Exchange(CollectiveKind.ReduceScatter, output, input, operation, NoPeer, new CallSite(file, line));

    /// <inheritdoc cref="ReduceScatter(Tensor, Tensor, ReduceOperation, string, int)"/>
    public Work ReduceScatterAsync(Tensor output, Tensor input, ReduceOperation operation = ReduceOperation.Sum,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        ExchangeAsync(CollectiveKind.ReduceScatter, output, input, operation, NoPeer, new CallSite(file, line));

    /// <summary>Does the same with a contribution that consists of several tensors, as if they were one long tensor.</summary>
    /// <param name="inputs">Contributions: together <see cref="Size"/> times the elements of <paramref name="output"/>.</param>
    /// <inheritdoc cref="ReduceScatter(Tensor, Tensor, ReduceOperation, string, int)"/>
    public Work ReduceScatterAsync(Tensor output, ReadOnlySpan<Tensor> inputs, ReduceOperation operation = ReduceOperation.Sum,
        [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var source = TensorLease.Of(Devices, inputs, written: false, outlive: true);
        var target = Lease(output, written: true, outlive: true);
        return Start(Validated(CollectiveKind.ReduceScatter, target, source, operation, NoPeer, new CallSite(file, line)), source, target);
    }

    /// <summary>Sends the <c>i</c>-th of <see cref="Size"/> equal shares to rank <c>i</c> and collects what the ranks sent, in rank order.</summary>
    /// <param name="output">Result, of as many elements as <paramref name="input"/>; other memory than it.</param>
    /// <param name="input">Contribution, of a number of elements that <see cref="Size"/> divides.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void AllToAll(Tensor output, Tensor input, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Exchange(CollectiveKind.AllToAll, output, input, default, NoPeer, new CallSite(file, line));

    /// <inheritdoc cref="AllToAll(Tensor, Tensor, string, int)"/>
    public Work AllToAllAsync(Tensor output, Tensor input, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        ExchangeAsync(CollectiveKind.AllToAll, output, input, default, NoPeer, new CallSite(file, line));

    /// <summary>Waits until every rank of the group has come here.</summary>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Barrier([CallerFilePath] string file = "", [CallerLineNumber] int line = 0) =>
        Run(new CollectiveCall(CollectiveKind.Barrier, ScalarType.Byte, default, default, default, NoPeer, new CallSite(file, line)));

    /// <inheritdoc cref="Barrier(string, int)"/>
    public Work BarrierAsync([CallerFilePath] string file = "", [CallerLineNumber] int line = 0) => Start(
        new CollectiveCall(CollectiveKind.Barrier, ScalarType.Byte, default, default, default, NoPeer, new CallSite(file, line)),
        TensorLease.Of(Devices, [], written: false, outlive: true));

    private const int NoPeer = -1;

    private static CollectiveCall InPlace(CollectiveKind kind, in TensorLease lease, ReduceOperation operation, CallSite site)
    {
        ElementTypes.RequireReducible(lease.ElementType, operation);
        return new CollectiveCall(kind, lease.ElementType, lease.Memory, lease.Memory, operation, NoPeer, site)
        {
            Shape = lease.Shape,
            Device = lease.Device,
        };
    }

    private void Exchange(CollectiveKind kind, Tensor? output, Tensor? input, ReduceOperation operation, int root, CallSite site)
    {
        using var source = Lease(input, written: false, outlive: false);
        using var target = Lease(output, written: true, outlive: false);
        Run(Validated(kind, target, source, operation, root, site));
    }

    private Work ExchangeAsync(CollectiveKind kind, Tensor? output, Tensor? input, ReduceOperation operation, int root, CallSite site)
    {
        var source = Lease(input, written: false, outlive: true);
        var target = Lease(output, written: true, outlive: true);
        return Start(Validated(kind, target, source, operation, root, site), source, target);
    }

    private TensorLease Lease(Tensor? tensor, bool written, bool outlive) =>
        tensor is null ? TensorLease.Of(Devices, [], written, outlive) : TensorLease.Of(Devices, tensor, written, outlive);
}
