using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    /// <summary>Sends a tensor to one rank; messages of a pair arrive in the order they were sent.</summary>
    /// <param name="tensor">What to send.</param>
    /// <param name="destination">Group rank that receives it with <see cref="Receive"/>.</param>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Send(Tensor tensor, int destination, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, tensor, written: false, outlive: false);
        Run(SendCall(lease, destination, new CallSite(file, line)));
    }

    /// <inheritdoc cref="Send(Tensor, int, string, int)"/>
    public Work SendAsync(Tensor tensor, int destination, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var lease = TensorLease.Of(Devices, [tensor], written: false, outlive: true);
        return Start(SendCall(lease, destination, new CallSite(file, line)), lease);
    }

    /// <summary>Receives a tensor from one rank.</summary>
    /// <param name="tensor">Result, of the number of elements and the type that the other rank sends.</param>
    /// <param name="source">Group rank that sends it with <see cref="Send"/>.</param>
    /// <exception cref="CollectiveMismatchException">The other rank sent another number of elements or another type.</exception>
    /// <inheritdoc cref="AllReduce(Tensor, ReduceOperation, string, int)"/>
    public void Receive(Tensor tensor, int source, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        using var lease = TensorLease.Of(Devices, tensor, written: true, outlive: false);
        Run(ReceiveCall(lease, source, new CallSite(file, line)));
    }

    /// <inheritdoc cref="Receive(Tensor, int, string, int)"/>
    public Work ReceiveAsync(Tensor tensor, int source, [CallerFilePath] string file = "", [CallerLineNumber] int line = 0)
    {
        var lease = TensorLease.Of(Devices, [tensor], written: true, outlive: true);
        return Start(ReceiveCall(lease, source, new CallSite(file, line)), lease);
    }

    private CollectiveCall SendCall(in TensorLease lease, int destination, CallSite site)
    {
        RequireOther(destination, nameof(destination));
        return new CollectiveCall(CollectiveKind.Send, lease.ElementType, lease.Memory, default, default, destination, site)
        {
            Shape = lease.Shape,
            Device = lease.Device,
        };
    }

    private CollectiveCall ReceiveCall(in TensorLease lease, int source, CallSite site)
    {
        RequireOther(source, nameof(source));
        return new CollectiveCall(CollectiveKind.Receive, lease.ElementType, default, lease.Memory, default, source, site)
        {
            Shape = lease.Shape,
            Device = lease.Device,
        };
    }

    private void RequireOther(int rank, string name)
    {
        RequireMember(rank, name);
        if (rank == Rank)
            throw new ArgumentOutOfRangeException(name, rank, "A rank cannot exchange messages with itself.");
    }
}
