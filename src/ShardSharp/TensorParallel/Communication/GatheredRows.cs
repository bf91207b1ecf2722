using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Communication;

/// <summary>A gathered tensor whose memory is there only while something computes with it; autograd keeps the tensor itself.</summary>
internal sealed class GatheredRows
{
    private Tensor? _rows;

    /// <summary>The tensor [rows, features], another object for it than the program has.</summary>
    public Tensor Tensor
    {
        get => _rows!;
        set => _rows = TensorData.Another(value);
    }

    /// <summary>Whether its memory is not there.</summary>
    public bool IsGone => _rows!.numel() == 0;

    /// <summary>Lets go of the memory.</summary>
    public void LetGo()
    {
        using var nothing = zeros(0, _rows!.dtype, _rows.device);
        TensorData.Set(_rows, nothing);
    }
}
