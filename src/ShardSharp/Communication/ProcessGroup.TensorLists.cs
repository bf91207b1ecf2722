using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <content>Messages of any number of tensors, whose types and shapes the receiver does not know before.</content>
public abstract unsafe partial class ProcessGroup
{
    /// <summary>Sends tensors to one rank in the background; messages of a pair arrive in the order they were sent.</summary>
    /// <param name="tensors">The tensors; null for one that is not there.</param>
    /// <param name="destination">Group rank that receives them with <see cref="ReceiveListAsync"/>.</param>
    /// <param name="site">Where it was called.</param>
    internal Work SendListAsync(IReadOnlyList<Tensor?> tensors, int destination, CallSite site)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        RequireOther(destination, nameof(destination));
        var header = TensorListHeader.Of(tensors);
        var leases = tensors.OfType<Tensor>().Select(tensor =>
        {
            // A lease of the tensor itself would keep the graph behind it until the message has arrived.
            using var value = tensor.detach();
            return TensorLease.Of(Devices, [value], written: false, outlive: true);
        }).ToArray();

        // On a GPU a message follows what the caller has queued there by now.
        var parts = leases.Select(lease =>
        {
            var call = SendCall(lease, destination, site) with { InBackground = true };
            return lease.Device is { } device ? MessageOnDevice(call, Devices.Open(device), lease).Queue : recording => Execute(call, recording);
        }).ToArray();
        return FollowUp(CollectiveKind.Send, destination, recording =>
        {
            try
            {
                fixed (long* address = header)
                {
                    SendPart(new FlatBuffer(address, TensorListHeader.FirstLength * sizeof(long)));
                    if (header.Length > TensorListHeader.FirstLength)
                        SendPart(new FlatBuffer(address + TensorListHeader.FirstLength, (header.Length - TensorListHeader.FirstLength) * sizeof(long)));
                }

                foreach (var part in parts)
                    part(recording);
            }
            finally
            {
                foreach (var lease in leases.Where(lease => lease.Device is null))
                    lease.Dispose();
            }

            void SendPart(FlatBuffer part) => Execute(
                new CollectiveCall(CollectiveKind.Send, ScalarType.Int64, part, default, default, destination, site) { InBackground = true }, recording);
        });
    }

    /// <summary>Receives tensors from one rank in the background.</summary>
    /// <param name="source">Group rank that sends them with <see cref="SendListAsync"/>.</param>
    /// <param name="allocate">Makes a contiguous tensor of a type and shape; called on another thread.</param>
    /// <param name="site">Where it was called.</param>
    internal ReceivedTensors ReceiveListAsync(int source, Func<ScalarType, long[], Tensor> allocate, CallSite site)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        RequireOther(source, nameof(source));
        var received = new ReceivedTensors();
        received.Work = FollowUp(CollectiveKind.Receive, source, recording =>
        {
            var header = new long[TensorListHeader.FirstLength];
            ReceivePart(header, 0);
            if (header[0] > header.Length)
            {
                Array.Resize(ref header, (int)header[0]);
                ReceivePart(header, TensorListHeader.FirstLength);
            }

            foreach (var tensor in received.Allocate(header, allocate))
            {
                var lease = TensorLease.Of(Devices, [tensor], written: true, outlive: true);
                var call = ReceiveCall(lease, source, site) with { InBackground = true };
                if (lease.Device is { } device)
                {
                    var message = MessageOnDevice(call, Devices.Open(device), lease);
                    message.Queue(recording);
                    received.OnDevice.Add(message.Work);
                    continue;
                }

                using (lease)
                    Execute(call, recording);
            }

            void ReceivePart(long[] whole, int start)
            {
                fixed (long* address = &whole[start])
                {
                    Execute(
                        new CollectiveCall(
                            CollectiveKind.Receive, ScalarType.Int64, default, new FlatBuffer(address, (whole.Length - start) * sizeof(long)), default,
                            source, site)
                        {
                            InBackground = true,
                        },
                        recording);
                }
            }
        });
        return received;
    }
}
