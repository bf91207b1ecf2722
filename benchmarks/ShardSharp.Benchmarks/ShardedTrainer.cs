using ShardSharp.TensorParallel;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>The training loop of ShardSharp's documentation.</summary>
internal sealed class ShardedTrainer : ITrainer
{
    private readonly Session _session;
    private readonly DistributedModel<GptModel> _model;
    private readonly DistributedOptimizer _optimizer;
    private readonly List<PipelineTimes> _pipelineSteps = [];

    public ShardedTrainer(Session session, TrainOptions options)
    {
        _session = session;
        _model = session.DistributedModel(
            () => new GptModel(options.Shape), plan: _ => Plan(options),
            example: () => [zeros(options.Batch / (options.DataRanks * options.Microbatches), options.Shape.Sequence, dtype: ScalarType.Int64)]);
        if (_model.Pipeline is { } pipeline)
            pipeline.MeasuresActivations = true;
        _optimizer = session.DistributedOptimizer(_model, parameters => optim.AdamW(parameters, TrainBenchmark.LearningRate));
    }

    public double ActivationMebibytes => (_session.MemoryReport().Activations.Measured ?? 0) / 1048576.0;

    /// <summary>What all ranks of a pipeline measured in a range of steps. Every rank calls it.</summary>
    public PipelineResult PipelineResult(Range steps) => PipelineTimes.Result(
        _model.Pipeline!.Schedule(_session.Configuration.Microbatches, isTraining: true),
        _session.Groups.World.AllGatherObject(_pipelineSteps[steps].ToArray()),
        _model.Pipeline.Model.Partition);

    public double Step(Tensor inputs, Tensor labels)
    {
        _optimizer.zero_grad();
        using var loss = _model.Step(
            inputs, labels, _model.TensorParallelism is null ? TrainBenchmark.Loss : (logits, expected) => _model.CrossEntropy(logits, expected));
        _optimizer.step();
        if (_model.Pipeline is { } pipeline)
            _pipelineSteps.Add(PipelineTimes.Of(pipeline));
        return _session.MeanOverDataRanks(loss.ReduceMean());
    }

    private static TensorParallelPlan Plan(TrainOptions options)
    {
        long headSize = options.Shape.Hidden / options.Shape.Heads;
        return new TensorParallelPlan(new Dictionary<string, TensorParallelStyle>
        {
            ["_tokenEmbedding"] = TensorParallelStyle.VocabularyEmbedding(),
            ["_positionEmbedding"] = TensorParallelStyle.SequenceScatter(),
            ["_blocks.*._attention._attention._projection"] = TensorParallelStyle.Row(headSize),
            ["_blocks.*._attention._attention.*"] = TensorParallelStyle.Column(headSize: headSize),
            ["_blocks.*._up._linear"] = TensorParallelStyle.Column(),
            ["_blocks.*._down._linear"] = TensorParallelStyle.Row(),
            ["**._norm"] = TensorParallelStyle.SequenceParallel(),
            ["_finalNorm"] = TensorParallelStyle.SequenceParallel(),
            ["_head"] = TensorParallelStyle.Column(gatherOutput: true),
        })
        {
            SequenceParallel = options.SequenceParallel, KeepsLogitsDivided = true, ReleasesOutputs = true,
        };
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
