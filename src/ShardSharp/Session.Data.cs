using ShardSharp.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp;

public sealed partial class Session
{
    /// <summary>Gives each rank its own samples of a dataset of (inputs, labels) pairs; samples of a batch are stacked.</summary>
    /// <inheritdoc cref="Shard{TSample, TBatch}"/>
    public ShardedData<(Tensor Inputs, Tensor Labels), (Tensor Inputs, Tensor Labels)> Shard(
        utils.data.Dataset<(Tensor Inputs, Tensor Labels)> dataset, int globalBatchSize, bool shuffle = true, bool dropLast = true) =>
        Shard(dataset, Collation.Pairs, globalBatchSize, shuffle, dropLast);

    /// <summary>Gives each rank its own samples of a dataset of named tensors; samples of a batch are stacked by name.</summary>
    /// <inheritdoc cref="Shard{TSample, TBatch}"/>
    public ShardedData<Dictionary<string, Tensor>, Dictionary<string, Tensor>> Shard(
        utils.data.Dataset dataset, int globalBatchSize, bool shuffle = true, bool dropLast = true) =>
        Shard(dataset, Collation.Named, globalBatchSize, shuffle, dropLast);

    /// <summary>Gives each rank its own samples of a dataset.</summary>
    /// <remarks>
    /// The copies of the model take equal, consecutive parts of every global batch; ranks of one copy, as the stages of a pipeline, get the
    /// same samples. Together the copies see in every step just the samples that one rank with the same global batch would.
    /// </remarks>
    /// <typeparam name="TSample">What the dataset holds.</typeparam>
    /// <typeparam name="TBatch">What a batch is.</typeparam>
    /// <param name="dataset">The whole dataset, the same on every rank; it stays the caller's.</param>
    /// <param name="collate">Makes a batch on a device out of samples.</param>
    /// <param name="globalBatchSize">Samples of one step on all ranks together.</param>
    /// <param name="shuffle">Whether every epoch has an order of its own, which follows from <c>seed</c> and the epoch alone.</param>
    /// <param name="dropLast">Whether to leave out the samples of an epoch that do not fill a batch.</param>
    /// <returns>The batches; each enumeration is an epoch.</returns>
    /// <exception cref="ArgumentException">The ranks cannot share a batch equally; the message says which sizes they can.</exception>
    public ShardedData<TSample, TBatch> Shard<TSample, TBatch>(
        utils.data.Dataset<TSample> dataset, Func<IEnumerable<TSample>, Device, TBatch> collate, int globalBatchSize, bool shuffle = true,
        bool dropLast = true)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        ArgumentNullException.ThrowIfNull(collate);
        var order = new SampleOrder(dataset.Count, globalBatchSize, shuffle, dropLast, Configuration.Seed);

        // Ranks of one tensor-parallel group have the same samples if batches are prescaled, and else their own.
        var copies = Configuration.PrescaledBatch ? Groups.ReducedData : Groups.Data;
        var data = new ShardedData<TSample, TBatch>(dataset, collate, Device, order, copies.Rank, copies.Size);
        Register(data);
        return data;
    }
}
