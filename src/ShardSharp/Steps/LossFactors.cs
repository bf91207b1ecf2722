using ShardSharp.Topology;
using TorchSharp;
using static TorchSharp.torch;

namespace ShardSharp.Steps;

/// <summary>By what the losses of microbatches are multiplied so that their gradients add up to that of the step's loss.</summary>
internal sealed class LossFactors : IDisposable
{
    // Held here: a collection on another thread could free a Scalar that only an operator's argument refers to.
    private readonly Scalar[] _factors;
    private readonly MicrobatchWeights? _weights;
    private readonly int _count;

    public LossFactors(int count, ParallelConfiguration configuration, MicrobatchWeights? weights)
    {
        (_count, _weights) = (count, weights);
        _factors = weights is null
            ? [configuration.AverageGradientsAcrossMicrobatches ? count : 1]
            : [.. weights.Shares.Select(share => (Scalar)share)];
    }

    /// <summary>The loss of a microbatch as a part of the step's.</summary>
    public Tensor Scale(Tensor loss, int microbatch) =>
        _weights is not null ? loss * _factors[microbatch]
        : _count == 1 ? loss
        : loss / _factors[0];

    public void Dispose() => Array.ForEach(_factors, factor => factor.Dispose());
}
