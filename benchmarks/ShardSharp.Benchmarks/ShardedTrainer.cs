using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>The training loop of ShardSharp's documentation.</summary>
internal sealed class ShardedTrainer : ITrainer
{
    private readonly Session _session;
    private readonly DistributedModel<GptModel> _model;
    private readonly DistributedOptimizer _optimizer;

    public ShardedTrainer(Session session, TrainOptions options)
    {
        _session = session;
        _model = session.DistributedModel(() => new GptModel(options.Shape));
        _optimizer = session.DistributedOptimizer(_model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
    }

    public double ActivationMebibytes => (_session.MemoryReport().Activations.Measured ?? 0) / 1048576.0;

    public double Step(Tensor inputs, Tensor labels)
    {
        _optimizer.zero_grad();
        using var loss = _model.Step(inputs, labels, TrainBenchmark.Loss);
        _optimizer.step();
        return _session.MeanOverDataRanks(loss.ReduceMean());
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
