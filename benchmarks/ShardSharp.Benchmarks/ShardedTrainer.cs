using ShardSharp.TensorParallel;
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
        _model = session.DistributedModel(() => new GptModel(options.Shape), plan: _ => Plan(options));
        _optimizer = session.DistributedOptimizer(_model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
    }

    public double Step(Tensor inputs, Tensor labels)
    {
        _optimizer.zero_grad();
        using var loss = _model.Step(
            inputs, labels, _model.TensorParallelism is null ? TrainBenchmark.Loss : (logits, expected) => _model.CrossEntropy(logits, expected));
        _optimizer.step();
        return _session.MeanOverDataRanks(loss.ReduceMean());
    }

    private static TensorParallelPlan Plan(TrainOptions options)
    {
        long headSize = options.Shape.Hidden / options.Shape.Heads;
        return new TensorParallelPlan(new Dictionary<string, TensorParallelStyle>
        {
            ["_tokenEmbedding"] = TensorParallelStyle.VocabularyEmbedding(),
            ["_positionEmbedding"] = TensorParallelStyle.SequenceScatter(),
            ["_blocks.*._attention._projection"] = TensorParallelStyle.Row(headSize),
            ["_blocks.*._attention.*"] = TensorParallelStyle.Column(headSize: headSize),
            ["_blocks.*._up"] = TensorParallelStyle.Column(),
            ["_blocks.*._down"] = TensorParallelStyle.Row(),
            ["**Norm"] = TensorParallelStyle.SequenceParallel(),
            ["_head"] = TensorParallelStyle.Column(gatherOutput: true),
        })
        {
            SequenceParallel = options.SequenceParallel, KeepsLogitsDivided = true,
        };
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
