using ShardSharp.Pipeline;
using ShardSharp.Steps;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp;

/// <summary>A model of a known type whose copies on the ranks train as one.</summary>
/// <typeparam name="TModule">The module's type; any TorchSharp module.</typeparam>
public sealed partial class DistributedModel<TModule> : DistributedModel
    where TModule : nn.Module
{
    internal DistributedModel(
        TModule module, ParallelConfiguration configuration, SessionGroups groups, Device device, Func<string, bool>? isUnit,
        ModelDivision division)
        : base(module, configuration, groups, device, isUnit, division) => Module = module;

    /// <summary>
    /// The model as its author wrote it, for evaluation, generation and inspection. In a pipeline the parameters of other ranks' stages are empty.
    /// </summary>
    public TModule Module { get; }

    /// <summary>Forward, loss and backward of one batch, in <c>microbatches</c> parts one after another; then gradients are averaged.</summary>
    /// <param name="inputs">This rank's samples, batch first; given to the module, which takes and returns a tensor.</param>
    /// <param name="labels">What the loss compares with, batch first.</param>
    /// <param name="loss">The mean loss of a microbatch from the module's output and the labels.</param>
    /// <returns>Each microbatch's loss.</returns>
    /// <exception cref="ArgumentException"><c>microbatches</c> does not divide the batch.</exception>
    /// <exception cref="InvalidOperationException">The module does not take and return a tensor, or the loss is not a single number.</exception>
    public StepOutput Step(Tensor inputs, Tensor labels, Func<Tensor, Tensor, Tensor> loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        if (Pipeline is not null)
            return Step([inputs], [labels], (outputs, ofMicrobatch) => loss(outputs[0], ofMicrobatch[0]));
        var module = TensorModule();
        return Step([inputs, labels], (_, batch) => loss(module.call(batch[0]), batch[1]));
    }

    /// <summary>The same for any module and any number of tensors.</summary>
    /// <param name="batch">This rank's samples as tensors, each batch first.</param>
    /// <param name="loss">The mean loss of a microbatch from the module and the microbatch's tensors. It uses <c>call</c> of the module.</param>
    /// <inheritdoc cref="Step(Tensor, Tensor, Func{Tensor, Tensor, Tensor})"/>
    public StepOutput Step(IReadOnlyList<Tensor> batch, Func<TModule, IReadOnlyList<Tensor>, Tensor> loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        RequireNoPipeline(nameof(Step));
        return StepOutput.Of(RunStep(
            new Microbatches(batch, Configuration.Microbatches), (_, tensors) => MicrobatchResult.Of(loss(Module, tensors))));
    }

    /// <summary>Forward and loss of one batch in evaluation: no graph is recorded, and no gradient changes.</summary>
    /// <inheritdoc cref="Step(Tensor, Tensor, Func{Tensor, Tensor, Tensor})"/>
    public StepOutput Forward(Tensor inputs, Tensor labels, Func<Tensor, Tensor, Tensor> loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        if (Pipeline is not null)
            return Forward([inputs], [labels], (outputs, ofMicrobatch) => loss(outputs[0], ofMicrobatch[0]));
        var module = TensorModule();
        return Forward([inputs, labels], (_, batch) => loss(module.call(batch[0]), batch[1]));
    }

    /// <summary>Forward of one batch in evaluation, for any module and any number of tensors.</summary>
    /// <param name="batch">This rank's samples as tensors, each batch first.</param>
    /// <param name="output">What to return for a microbatch: a loss, logits, ...</param>
    /// <returns>Each microbatch's output.</returns>
    /// <exception cref="ArgumentException"><c>microbatches</c> does not divide the batch.</exception>
    public StepOutput Forward(IReadOnlyList<Tensor> batch, Func<TModule, IReadOnlyList<Tensor>, Tensor> output)
    {
        ArgumentNullException.ThrowIfNull(output);
        RequireNoPipeline(nameof(Forward));
        return StepOutput.Of(RunForward(new Microbatches(batch, Configuration.Microbatches), (_, tensors) => [output(Module, tensors)]));
    }

    private nn.Module<Tensor, Tensor> TensorModule() => Root as nn.Module<Tensor, Tensor> ?? throw new InvalidOperationException(
        $"{typeof(TModule).Name} is not a Module<Tensor, Tensor>; pass the batch as a list of tensors and call the module in the loss function.");
}
