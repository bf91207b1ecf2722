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
        _model = session.DistributedModel(
            () => new GptModel(options.Shape),
            example: () => [zeros(options.Batch / (options.DataRanks * options.Microbatches), options.Shape.Sequence, dtype: ScalarType.Int64)]);
        _optimizer = session.DistributedOptimizer(_model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
    }

    /// <summary>For each step in a pipeline the part of its time in which this rank waited.</summary>
    public List<double> Bubbles { get; } = [];

    public double Step(Tensor inputs, Tensor labels)
    {
        _optimizer.zero_grad();
        using var loss = _model.Step(inputs, labels, TrainBenchmark.Loss);
        _optimizer.step();
        if (_model.Pipeline is { } pipeline)
            Bubbles.Add(pipeline.Waited / (pipeline.Waited + pipeline.Worked));
        return _session.MeanOverDataRanks(loss.ReduceMean());
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
