using System.Collections;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.DataParallel;

/// <summary>One rank's batches of a dataset; each enumeration is an epoch.</summary>
/// <remarks>A batch's tensors are disposed when the next one is asked for.</remarks>
/// <typeparam name="TSample">What the dataset holds.</typeparam>
/// <typeparam name="TBatch">What a batch is.</typeparam>
public sealed class ShardedData<TSample, TBatch> : IEnumerable<TBatch>, IPositionedData
{
    private readonly utils.data.Dataset<TSample> _dataset;
    private readonly Func<IEnumerable<TSample>, Device, TBatch> _collate;
    private readonly Device _device;
    private readonly SampleOrder _order;
    private readonly int _rank;
    private readonly int _ranks;
    private readonly int _share;
    private DataPosition _position;

    internal ShardedData(
        utils.data.Dataset<TSample> dataset, Func<IEnumerable<TSample>, Device, TBatch> collate, Device device, SampleOrder order, int rank,
        int ranks)
    {
        (_dataset, _collate, _device, _order, _rank, _ranks) = (dataset, collate, device, order, rank, ranks);
        _share = order.ShareOf(ranks);
    }

    /// <summary>Steps of one epoch, the same on every rank.</summary>
    public long Count => _order.Batches;

    /// <summary>Samples of a full batch on this rank.</summary>
    public int BatchSize => _share;

    /// <summary>
    /// Which order the next enumeration takes; set it to choose another. Each enumeration adds one. Checkpoints keep it, and how far the
    /// latest enumeration came.
    /// </summary>
    public int Epoch
    {
        get;
        set => (field, _position) = (value, new DataPosition(value, 0));
    }

    /// <inheritdoc/>
    DataPosition IPositionedData.Position
    {
        get => _position.Batches == Count ? new DataPosition(_position.Epoch + 1, 0) : _position;
        set => (Epoch, _position) = (value.Epoch, value);
    }

    /// <inheritdoc/>
    public IEnumerator<TBatch> GetEnumerator()
    {
        // A position that was set is where this enumeration begins; one that an enumeration reached is not.
        var (epoch, first) = _position.Epoch == Epoch ? _position : new DataPosition(Epoch, 0);
        Epoch++;
        _position = new DataPosition(epoch, first);
        using var loader = new DataLoader<TSample, TBatch>(
            _dataset, _share, _collate, _order.Of(_rank, _ranks, epoch, first), _device, num_worker: 1, drop_last: false, disposeBatch: true,
            disposeDataset: false);
        foreach (var batch in loader)
        {
            // Taken from now on: what is saved before the next one is asked for was trained on this one.
            _position = _position with { Batches = _position.Batches + 1 };
            yield return batch;
        }
    }

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
