using System.Collections.Concurrent;
using ShardSharp.Native;

namespace ShardSharp.Communication;

public abstract partial class ProcessGroup
{
    private readonly ConcurrentBag<PinnedStaging> _stagings = [];

    /// <summary>The GPUs whose tensors the group communicates; groups split off have the same.</summary>
    internal ICudaDevices Devices { get; set; } = CudaDevices.OfThisProcess;

    /// <summary>Where the ranks of the run tell each other that one of them has failed; null where there are no others.</summary>
    internal virtual IFailureBoard? Failures => null;

    /// <summary>
    /// Runs an operation on a GPU's memory; what the calling thread queues on the GPU afterwards sees its result.
    /// </summary>
    private protected virtual void RunOnDevice(CollectiveCall call, ICudaDevice device)
    {
        using var mark = DeviceMark.Record(device);
        RunInTurn(call with { Mark = mark });
    }

    /// <summary>Starts an operation on a GPU's memory in the background. The leases are owned from now on.</summary>
    private protected virtual Work StartOnDevice(CollectiveCall call, ICudaDevice device, TensorLease first, TensorLease second)
    {
        var mark = DeviceMark.Record(device);
        return StartInTurn(call with { Mark = mark }, () =>
        {
            using (mark)
            using (first)
            using (second)
            {
                if (!first.NeedsWriteBack && !second.NeedsWriteBack)
                    return;
                first.WriteBack();
                second.WriteBack();

                // libtorch queued that where it queues what this thread asks for.
                device.Record(mark.Event, device.CurrentStream);
                device.Synchronize(mark.Event);
            }
        });
    }

    /// <summary>Makes a message of a GPU's memory that is queued later, among others of its pair. The lease is owned from now on.</summary>
    /// <exception cref="NotSupportedException">The group's ranks exchange lists of tensors of the host alone.</exception>
    private protected virtual DeviceMessage MessageOnDevice(CollectiveCall call, ICudaDevice device, TensorLease lease) =>
        throw new NotSupportedException($"{call} in group '{Name}': lists of tensors on a GPU are exchanged with backend = nccl. Use tensor.cpu().");

    /// <summary>Runs an operation on a GPU's memory to its end on the calling thread, from its mark on.</summary>
    private protected virtual void ExecuteOnDevice(in CollectiveCall call)
    {
        var device = call.Mark!.Device;
        if (!_stagings.TryTake(out var staging) || staging.Device != device.Index)
        {
            staging?.Dispose();
            staging = new PinnedStaging(device);
        }

        try
        {
            staging.Run(call, Size, Execute);
        }
        finally
        {
            _stagings.Add(staging);
        }
    }
}
