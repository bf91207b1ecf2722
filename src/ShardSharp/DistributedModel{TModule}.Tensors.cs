using ShardSharp.Modules;
using ShardSharp.Steps;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>Steps of models that take and return any number of tensors, on one rank and in a pipeline.</content>
public sealed partial class DistributedModel<TModule>
{
    /// <summary>What names of labels begin with.</summary>
    private const string Labels = "labels";

    /// <summary>Forward, loss and backward of one batch for a model that takes and returns any number of tensors, on any layout of ranks.</summary>
    /// <remarks>In a pipeline every rank calls it with the same batch; the loss is computed with the last stage, and all ranks get its value.</remarks>
    /// <param name="inputs">This rank's samples, batch first: what the model is called with, in the order of its arguments.</param>
    /// <param name="labels">What else the loss needs, batch first.</param>
    /// <param name="loss">The mean loss of a microbatch from the tensors that the model returned and the labels.</param>
    /// <param name="options">How the batch is cut, and what losses count; null for equal parts of the first dimension that count the same.</param>
    /// <returns>Each microbatch's loss.</returns>
    /// <exception cref="ArgumentException"><c>microbatches</c> does not divide the batch.</exception>
    /// <exception cref="InvalidOperationException">The loss is not a single number.</exception>
    public StepOutput Step(
        IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> labels, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> loss,
        StepOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(loss);
        var arguments = Arguments(inputs, labels, options);
        var weights = Weights(arguments, options);
        var results = Pipeline is not null
            ? RunPipelineStep(arguments, Compute, weights)
            : RunStep(
                arguments.Microbatches,
                (microbatch, tensors) => Compute(microbatch, CallModule(arguments.InputsIn(tensors)), arguments.LabelsIn(tensors)), weights);
        return StepOutput.Of(results, weights?.Shares);

        MicrobatchResult Compute(int microbatch, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> ofMicrobatch) => MicrobatchResult.Of(
            weights?.Shares[microbatch] == 0 ? WeightedLoss.Nothing(outputs) : loss(outputs, ofMicrobatch));
    }

    /// <summary>Forward of one batch in evaluation, for a model that takes and returns any number of tensors, on any layout of ranks.</summary>
    /// <remarks>
    /// In a pipeline every rank calls it with the same batch and gets the outputs, which travel from the rank with the last stage: let
    /// <paramref name="output"/> return what is needed, such as a loss or the next token, rather than all logits.
    /// </remarks>
    /// <param name="inputs">This rank's samples, batch first: what the model is called with, in the order of its arguments.</param>
    /// <param name="labels">What else <paramref name="output"/> needs, batch first; may be empty.</param>
    /// <param name="output">What to return for a microbatch, from the tensors that the model returned and the labels.</param>
    /// <param name="options">How the batch is cut; null for equal parts of the first dimension.</param>
    /// <returns>Each microbatch's output.</returns>
    /// <exception cref="ArgumentException"><c>microbatches</c> does not divide the batch.</exception>
    public StepOutput Forward(
        IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> labels, Func<IReadOnlyList<Tensor>, IReadOnlyList<Tensor>, Tensor> output,
        StepOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        var arguments = Arguments(inputs, labels, options);
        return StepOutput.Of(Pipeline is not null
            ? RunPipelineForward(arguments, (_, outputs, ofMicrobatch) => [output(outputs, ofMicrobatch)])
            : RunForward(arguments.Microbatches, (_, tensors) => [output(CallModule(arguments.InputsIn(tensors)), arguments.LabelsIn(tensors))]));
    }

    private StepArguments Arguments(IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> labels, StepOptions? options)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(labels);
        var names = ModuleTree.IsCalled(Root) ? new ModuleCall(Root).Names : [];
        return Arguments(
            new StructuredTensors(inputs.Select((tensor, i) => (i < names.Count ? names[i] : $"inputs.{i}", (object?)tensor))),
            new StructuredTensors(labels.Select((tensor, i) => ($"{Labels}.{i}", (object?)tensor))), options);
    }

    private StepArguments Arguments(StructuredTensors inputs, StructuredTensors labels, StepOptions? options)
    {
        var count = options?.Microbatches ?? Configuration.Microbatches;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count, nameof(options));
        return new StepArguments(inputs, labels, new Microbatches(
            [.. inputs.Tensors, .. labels.Tensors], count, options?.DimensionsOf([.. inputs.Names, .. labels.Names]), options?.Uneven ?? false));
    }

    private MicrobatchWeights? Weights(StepArguments arguments, StepOptions? options)
    {
        if (options is null or { Weight: null, Uneven: false })
            return null;
        if (!Configuration.AverageGradientsAcrossMicrobatches)
        {
            throw new ArgumentException(
                "Weights, and uneven microbatches, are for a mean over microbatches; set average_grads_across_microbatches to true.", nameof(options));
        }

        using var scope = NewDisposeScope();
        var weights = options.Weight is { } weight
            ? Enumerable.Range(0, arguments.Count).Select(microbatch => weight(arguments.LabelsOf(microbatch)))
            : arguments.Microbatches.Sizes;
        return new MicrobatchWeights([.. weights], Groups.Data);
    }

    private List<Tensor> CallModule(IReadOnlyList<Tensor> inputs)
    {
        var call = new ModuleCall(Root);
        return TensorsOf(call.Invoke(call.Arguments(inputs)));
    }

    /// <summary>The tensors of what a module returned, in the order in which a pipeline passes them.</summary>
    private static List<Tensor> TensorsOf(object? returned)
    {
        var tensors = TensorParts.Of(returned, out var isKnown);
        return isKnown ? tensors : throw new NotSupportedException(
            $"{typeof(TModule).Name} returns a {returned!.GetType().Name}, whose tensors are not known. Let it return a tensor, a tuple, an array or a "
            + "list of tensors, or call it in the loss function of another overload.");
    }

    private void RequireNoPipeline(string method)
    {
        if (Pipeline is not null)
        {
            throw new NotSupportedException(
                $"This rank has only some stages of the model, so that it cannot run a function of the whole module. Use {method}(inputs, labels, "
                + "(outputs, labels) => ...), where inputs is what the model is called with and outputs what it returns.");
        }
    }
}
