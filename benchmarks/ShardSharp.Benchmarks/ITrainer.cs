using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>A way to train the benchmark model.</summary>
internal interface ITrainer : IDisposable
{
    /// <summary>One whole training step, parameter update included.</summary>
    /// <param name="inputs">This rank's tokens [batch, sequence].</param>
    /// <param name="labels">The tokens to predict [batch, sequence].</param>
    /// <returns>The mean loss over all ranks.</returns>
    double Step(Tensor inputs, Tensor labels);

    /// <summary>What a microbatch of the latest step took at the peak, in MiB; 0 where nobody measures.</summary>
    double ActivationMebibytes => 0;
}
