using static TorchSharp.torch;

namespace ShardSharp.Communication;

/// <summary>Tensors that are on their way to this rank.</summary>
internal sealed class ReceivedTensors
{
    private Tensor?[] _tensors = [];
    private bool[] _requireGradient = [];

    /// <summary>The operation that receives them.</summary>
    public Work? Work { get; set; }

    /// <summary>Those that a GPU receives, which the caller's work there has to wait for.</summary>
    public List<Work> OnDevice { get; } = [];

    /// <summary>Waits for the tensors, which then belong to the caller; null where the sender had none.</summary>
    /// <exception cref="CommunicationException">The operation failed.</exception>
    public IReadOnlyList<(Tensor? Value, bool RequiresGradient)> Wait()
    {
        Work!.Wait();
        foreach (var work in OnDevice)
            work.Wait();
        return [.. _tensors.Zip(_requireGradient)];
    }

    /// <summary>Makes room for what a header describes.</summary>
    public IEnumerable<Tensor> Allocate(ReadOnlySpan<long> header, Func<ScalarType, long[], Tensor> allocate)
    {
        var described = TensorListHeader.Read(header);
        _tensors = new Tensor?[described.Count];
        _requireGradient = new bool[described.Count];
        for (var i = 0; i < _tensors.Length; i++)
        {
            if (described[i] is not { } tensor)
                continue;
            _tensors[i] = allocate(tensor.Type, tensor.Shape);
            _requireGradient[i] = tensor.RequiresGradient;
        }

        return _tensors.OfType<Tensor>();
    }
}
