using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>
/// TorchSharp alone, as its documentation has it: a dispose scope around each microbatch. Without one around each, tensors of all
/// microbatches would live to the end of the step.
/// </summary>
internal sealed class PlainTrainer : ITrainer
{
    private readonly GptModel _model;
    private readonly AdamW _optimizer;
    private readonly int _microbatches;

    public PlainTrainer(TrainOptions options)
    {
        _model = new GptModel(options.Shape);
        _optimizer = optim.AdamW(_model.parameters(), TrainBenchmark.LearningRate);
        _microbatches = options.Microbatches;
    }

    public double Step(Tensor inputs, Tensor labels)
    {
        _optimizer.zero_grad();
        double sum = 0;
        foreach (var (input, label) in inputs.chunk(_microbatches).Zip(labels.chunk(_microbatches)))
        {
            using var scope = NewDisposeScope();
            var loss = TrainBenchmark.Loss(_model.call(input), label);
            (loss / _microbatches).backward();
            sum += loss.item<float>();
        }

        _optimizer.step();
        return sum / _microbatches;
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
