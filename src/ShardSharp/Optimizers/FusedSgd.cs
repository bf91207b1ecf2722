using ShardSharp.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Optimizers;

/// <summary>Stochastic gradient descent, with or without momentum.</summary>
internal sealed class FusedSgd(SGD optimizer) : FusedStep(optimizer)
{
    protected override IEnumerable<Tensor> Tensors(OptimizerState state) => ((SGD.State)state).momentum_buffer is { } buffer ? [buffer] : [];

    protected override void Update(OptimizerOptions options, IReadOnlyList<ParameterSlot> slots)
    {
        // The first gradient of a parameter becomes its momentum, undamped; the kernel is told so for all parameters of a call.
        foreach (var slotsOfStage in slots.GroupBy(slot => ((SGD.State)slot.State).momentum_buffer is null))
            Update((SGD.Options)options, [.. slotsOfStage], firstStep: slotsOfStage.Key);
    }

    private static void Update(SGD.Options options, IReadOnlyList<ParameterSlot> slots, bool firstStep)
    {
        var momentum = options.momentum!.Value;
        IReadOnlyList<Tensor> buffers = momentum == 0 ? [] : [.. slots.Select(BufferOf)];

        // TorchSharp ascends by the sign of the rate, PyTorch by that of the gradient before it adds the weight decay.
        var rate = options.maximize!.Value ? -options.LearningRate!.Value : options.LearningRate!.Value;
        var numbers = new FusedOperators.SgdNumbers(
            rate, momentum, options.dampening!.Value, options.weight_decay!.Value, options.nesterov!.Value, firstStep);
        FusedOperators.Sgd([.. slots.Select(slot => slot.Parameter)], [.. slots.Select(slot => slot.Gradient)], buffers, numbers);
    }

    private static Tensor BufferOf(ParameterSlot slot) =>
        ((SGD.State)slot.State).momentum_buffer ??= empty_like(slot.Parameter).DetachFromDisposeScope();
}
