using ShardSharp.Communication;
using ShardSharp.Native;
using ShardSharp.TensorParallel.Communication;
using static TorchSharp.torch;

namespace ShardSharp.TensorParallel;

/// <summary>
/// The whole sequence that layers compute with, where each rank holds a part of it: autograd keeps the part, and what was gathered is let go once the
/// layers have computed. Backward gathers it again. After Korthikanti et al. (arXiv:2205.05198), section 4.2.2.
/// </summary>
internal sealed class GatheredInput : IDisposable
{
    private readonly Tensor _part;
    private readonly GatheredRows _rows = new();
    private readonly long[] _leading;
    private readonly ProcessGroup _group;
    private readonly int _dimension;
    private readonly long _total;

    /// <param name="part">This rank's part [.., part, features].</param>
    /// <param name="group">The ranks.</param>
    /// <param name="total">Length of all parts together.</param>
    public GatheredInput(Tensor part, ProcessGroup group, long total)
    {
        (_group, _total, _dimension) = (group, total, AlongDimension.Normalized(part, TensorParallelContext.SequenceDimension));
        _leading = part.shape[..^1];
        _leading[_dimension] = total;

        // Of a matrix autograd keeps the very tensor that a linear layer is called with; of more dimensions a view, which would keep the memory.
        Rows = GatherAlong.Run(part, _dimension, group, alike: false, total, _rows);
        (_part, _rows.Tensor) = (TensorData.Another(part), Rows);
    }

    /// <summary>What to call the layers with [rows, features].</summary>
    public Tensor Rows { get; }

    /// <summary>What a layer returns that was called with the rows.</summary>
    /// <param name="output">[rows, outputs]. Owned from now on.</param>
    /// <returns>[.., total, outputs]</returns>
    public Tensor Output(Tensor output)
    {
        using (output)
        {
            using var again = GatherAgain.Run(output, _part, _rows, _dimension, _group, _total);
            return again.view([.. _leading, output.shape[^1]]);
        }
    }

    /// <summary>Lets go of what was gathered.</summary>
    public void Dispose()
    {
        _rows.LetGo();
        _part.Dispose();
    }
}
