using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>Adam (arXiv:1412.6980) and AdamW (arXiv:1711.05101).</summary>
internal sealed class FusedAdam(OptimizerHelper optimizer) : FusedStep(optimizer)
{
    protected override IEnumerable<Tensor> Tensors(OptimizerState state)
    {
        var (average, square, maximum) = Moments(state);
        return maximum is null ? [average, square] : [average, square, maximum];
    }

    protected override void Update(OptimizerOptions options, IReadOnlyList<ParameterSlot> slots)
    {
        var numbers = NumbersOf(options);
        var tensors = new FusedOperators.AdamTensors([], [], [], [], [], []);
        var counts = new Dictionary<long, Tensor>();
        foreach (var slot in slots)
        {
            var (average, square, maximum) = Moments(slot.State);
            tensors.Parameters.Add(slot.Parameter);
            tensors.Gradients.Add(slot.Gradient);
            tensors.Averages.Add(average);
            tensors.Squares.Add(square);
            if (numbers.Amsgrad)
                tensors.MaximumSquares.Add(maximum!);

            // Parameters that always had gradients are all at the same step, so one scalar does for them.
            var count = Advance(slot.State);
            if (!counts.TryGetValue(count, out var scalar))
                counts[count] = scalar = tensor((float)count);
            tensors.Steps.Add(scalar);
        }

        FusedOperators.Adam(tensors, numbers);
    }

    private static (Tensor Average, Tensor Square, Tensor? Maximum) Moments(OptimizerState state)
    {
        if (state is Adam.State adam)
            return (adam.exp_avg, adam.exp_avg_sq, adam.max_exp_avg_sq);
        var decoupled = (AdamW.State)state;
        return (decoupled.exp_avg, decoupled.exp_avg_sq, decoupled.max_exp_avg_sq);
    }

    private static long Advance(OptimizerState state) => state is Adam.State adam ? ++adam.step : ++((AdamW.State)state).step;

    private static FusedOperators.AdamNumbers NumbersOf(OptimizerOptions options)
    {
        if (options is Adam.Options adam)
        {
            return new(
                adam.LearningRate!.Value, adam.beta1!.Value, adam.beta2!.Value, adam.weight_decay!.Value, adam.eps!.Value,
                adam.amsgrad!.Value, adam.maximize!.Value, Decoupled: false);
        }

        var decoupled = (AdamW.Options)options;
        return new(
            decoupled.LearningRate!.Value, decoupled.beta1!.Value, decoupled.beta2!.Value, decoupled.weight_decay!.Value, decoupled.eps!.Value,
            decoupled.amsgrad!.Value, decoupled.maximize!.Value, Decoupled: true);
    }
}
