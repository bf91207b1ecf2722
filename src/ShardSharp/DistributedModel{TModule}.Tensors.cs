using ShardSharp.DataParallel;
using ShardSharp.Modules;
using ShardSharp.Pipeline.Tracing;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>Steps of models that take and return any number of tensors, on one rank and in a pipeline.</content>
public sealed partial class DistributedModel<TModule>
{
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
        var weights = Weights(arguments, options?.Weight);
        if (Pipeline is not null)
            return RunPipelineStep(arguments, loss, weights);
        var microbatch = 0;
        return RunStep(
            arguments.Batch,
            tensors => WeightedLoss.Compute(
                CallModule([.. tensors.Take(inputs.Count)]), [.. tensors.Skip(inputs.Count)], loss, weights?.Shares[microbatch++]),
            weights);
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
        return Pipeline is not null
            ? RunPipelineForward(arguments, output)
            : RunForward(arguments.Batch, tensors => output(CallModule([.. tensors.Take(inputs.Count)]), [.. tensors.Skip(inputs.Count)]));
    }

    private PipelineArguments Arguments(IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor> labels, StepOptions? options)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(labels);
        var count = options?.Microbatches ?? Configuration.Microbatches;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count, nameof(options));
        return new PipelineArguments(
            new Microbatches([.. inputs, .. labels], count, options is null ? null : options.DimensionOf), inputs.Count);
    }

    private MicrobatchWeights? Weights(PipelineArguments arguments, Func<IReadOnlyList<Tensor>, double>? weight)
    {
        if (weight is null)
            return null;
        if (!Configuration.AverageGradientsAcrossMicrobatches)
            throw new ArgumentException("Weights are for a mean over microbatches; set average_grads_across_microbatches to true.", nameof(weight));
        using var scope = NewDisposeScope();
        return new MicrobatchWeights(
            [.. Enumerable.Range(0, arguments.Count).Select(microbatch => weight(arguments.Labels(microbatch)))], Replicas);
    }

    private Tensor[] CallModule(Tensor[] inputs)
    {
        var call = new ModuleCall(Root);
        if (call.Takes.Count != inputs.Length)
            throw new ArgumentException($"{typeof(TModule).Name} is called with {call.Takes.Count} arguments; {inputs.Length} inputs were given.");
        return [.. TensorsOf(call.Invoke([.. inputs]))];
    }

    /// <summary>The tensors of what a module returned, in the order in which a pipeline passes them.</summary>
    private static List<Tensor> TensorsOf(object? returned)
    {
        var tensors = new List<Tensor>();
        var isKnown = true;
        TensorParts.Replace(
            returned,
            tensor =>
            {
                tensors.Add(tensor);
                return tensor;
            },
            ref isKnown);
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
