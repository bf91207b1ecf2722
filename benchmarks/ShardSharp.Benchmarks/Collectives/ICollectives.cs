using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>What is timed, of ShardSharp and of its peers alike.</summary>
internal interface ICollectives
{
    int Rank { get; }

    int Size { get; }

    void Barrier();

    /// <summary>Leaves the largest value of all ranks in place of each.</summary>
    void TakeLargest(Span<double> values);

    void AllReduce(Tensor tensor);

    void AllGather(Tensor output, Tensor input);

    void ReduceScatter(Tensor output, Tensor input);

    void AllToAll(Tensor output, Tensor input);

    void Send(Tensor tensor, int destination);

    void Receive(Tensor tensor, int source);
}
