using ShardSharp.Communication;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

internal sealed class GroupCollectives(ProcessGroup group) : ICollectives
{
    public int Rank => group.Rank;

    public int Size => group.Size;

    public void Barrier() => group.Barrier();

    public void TakeLargest(Span<double> values) => group.AllReduce(values, ReduceOperation.Max);

    public void AllReduce(Tensor tensor) => group.AllReduce(tensor);

    public void AllGather(Tensor output, Tensor input) => group.AllGather(output, input);

    public void ReduceScatter(Tensor output, Tensor input) => group.ReduceScatter(output, input);

    public void AllToAll(Tensor output, Tensor input) => group.AllToAll(output, input);

    public void Send(Tensor tensor, int destination) => group.Send(tensor, destination);

    public void Receive(Tensor tensor, int source) => group.Receive(tensor, source);
}
