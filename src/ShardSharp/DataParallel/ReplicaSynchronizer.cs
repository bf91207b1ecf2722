using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>Makes the copies of a model equal: what the first rank of the group has, all get.</summary>
internal sealed class ReplicaSynchronizer(nn.Module module, ProcessGroup group)
{
    public void BroadcastParameters() => Broadcast(module.parameters());

    /// <summary>Buffers are not trained but follow the data, as running means do, so copies drift apart unless one is taken for all.</summary>
    public void BroadcastBuffers() => Broadcast(module.buffers());

    private void Broadcast(IEnumerable<Tensor> tensors)
    {
        if (group.Size == 1)
            return;
        foreach (var ofType in tensors.GroupBy(tensor => tensor.dtype))
            group.Broadcast(ofType.ToArray(), root: 0);
    }
}
