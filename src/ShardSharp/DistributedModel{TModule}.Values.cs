using ShardSharp.Modules;
using ShardSharp.Steps;
using static TorchSharp.torch;

namespace ShardSharp;

/// <content>Steps whose inputs, labels, outputs and results are values of tensors: tuples, records, dictionaries, lists, nested in any way.</content>
public sealed partial class DistributedModel<TModule>
{
    private readonly ResultText _resultText = new();

    /// <summary>
    /// Forward, loss and backward of one batch, for values of tensors and any layout of ranks. Every tensor in the inputs and labels is cut into
    /// microbatches, and every one that the function returns comes back, detached.
    /// </summary>
    /// <remarks>
    /// Tuples of up to seven, records, structs, arrays, <c>List</c> and <c>Dictionary</c> may be nested in any way. In a pipeline every rank calls it with the
    /// same batch; <paramref name="loss"/> runs with the last stage, and all ranks get what it returned. There, what lies between the tensors of the
    /// inputs must be as in the example that the model was created with.
    /// </remarks>
    /// <typeparam name="TInputs">The type of the model's argument, or a tuple of its arguments; those at its end that may be null can be left out.</typeparam>
    /// <typeparam name="TLabels">Anything else that the loss needs.</typeparam>
    /// <typeparam name="TOutputs">What the model returns; <c>IReadOnlyList&lt;Tensor&gt;</c> takes the tensors of anything.</typeparam>
    /// <typeparam name="TResult">What to return of each microbatch.</typeparam>
    /// <param name="inputs">This rank's samples, batch first: what the model is called with.</param>
    /// <param name="labels">What else the loss needs, batch first.</param>
    /// <param name="loss">From what the model returned and the labels, the mean loss of a microbatch and what else to return of it.</param>
    /// <param name="options">How the batch is cut, and what losses count; null for equal parts of the first dimension that count the same.</param>
    /// <param name="lossOf">The loss in a result, which is a single number; null for its first tensor.</param>
    /// <returns>Each microbatch's result.</returns>
    /// <exception cref="ArgumentException"><c>microbatches</c> does not divide the batch, or the inputs are not what the model is called with.</exception>
    /// <exception cref="InvalidOperationException">The loss is not a single number, or the model does not return <typeparamref name="TOutputs"/>.</exception>
    /// <exception cref="NotSupportedException">In a pipeline, a result that cannot be given to other ranks.</exception>
    public StepOutput<TResult> Step<TInputs, TLabels, TOutputs, TResult>(
        TInputs inputs, TLabels labels, Func<TOutputs, TLabels, TResult> loss, StepOptions? options = null, Func<TResult, Tensor>? lossOf = null)
    {
        ArgumentNullException.ThrowIfNull(loss);
        var arguments = Arguments(inputs, labels, options);
        var weights = Weights(arguments, options);
        var results = new TResult[arguments.Count];
        var tensors = Pipeline is not null
            ? RunPipelineStep(
                arguments, (microbatch, outputs, ofMicrobatch) => Result(microbatch, Pipeline.Model.OutputOf(outputs), outputs, ofMicrobatch), weights)
            : RunStep(
                arguments.Microbatches,
                (microbatch, given) =>
                {
                    var outputs = Call(arguments.Inputs.Build(arguments.InputsIn(given)));
                    return Result(microbatch, outputs, TensorsOf(outputs), arguments.LabelsIn(given));
                },
                weights);
        return new StepOutput<TResult>(Returned(results, tensors), weights?.Shares);

        MicrobatchResult Result(int microbatch, object? value, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> ofMicrobatch)
        {
            var result = loss(As<TOutputs>(value, outputs), (TLabels)arguments.Labels.Build(ofMicrobatch)[0]!);
            results[microbatch] = result;
            var parts = PartsOf(result);
            if (parts.Tensors.Count == 0)
                throw new InvalidOperationException($"The step returned a {typeof(TResult).Name} without a tensor; return the loss.");
            return new MicrobatchResult(
                parts.Tensors, weights?.Shares[microbatch] == 0 ? WeightedLoss.Nothing(outputs) : lossOf is null ? parts.Tensors[0] : lossOf(result));
        }
    }

    /// <summary>Forward of one batch in evaluation, for values of tensors and any layout of ranks: no graph is recorded.</summary>
    /// <param name="inputs">This rank's samples, batch first: what the model is called with.</param>
    /// <param name="labels">What else <paramref name="output"/> needs, batch first.</param>
    /// <param name="output">What to return of a microbatch, from what the model returned and the labels.</param>
    /// <param name="options">How the batch is cut; null for equal parts of the first dimension.</param>
    /// <inheritdoc cref="Step{TInputs, TLabels, TOutputs, TResult}(TInputs, TLabels, Func{TOutputs, TLabels, TResult}, StepOptions, Func{TResult, Tensor})"/>
    public StepOutput<TResult> Forward<TInputs, TLabels, TOutputs, TResult>(
        TInputs inputs, TLabels labels, Func<TOutputs, TLabels, TResult> output, StepOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        var arguments = Arguments(inputs, labels, options);
        var results = new TResult[arguments.Count];
        var tensors = Pipeline is not null
            ? RunPipelineForward(arguments, (microbatch, outputs, ofMicrobatch) => Result(microbatch, Pipeline.Model.OutputOf(outputs), outputs, ofMicrobatch))
            : RunForward(
                arguments.Microbatches,
                (microbatch, given) =>
                {
                    var outputs = Call(arguments.Inputs.Build(arguments.InputsIn(given)));
                    return Result(microbatch, outputs, TensorsOf(outputs), arguments.LabelsIn(given));
                });
        return new StepOutput<TResult>(Returned(results, tensors), shares: null);

        IReadOnlyList<Tensor> Result(int microbatch, object? value, IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> ofMicrobatch) => PartsOf(
            results[microbatch] = output(As<TOutputs>(value, outputs), (TLabels)arguments.Labels.Build(ofMicrobatch)[0]!)).Tensors;
    }

    private object? Call(object?[] arguments) => new ModuleCall(Root).Invoke(arguments);

    private StepArguments Arguments<TInputs, TLabels>(TInputs inputs, TLabels labels, StepOptions? options)
    {
        var call = new ModuleCall(Root);
        var given = new StructuredTensors(call.Names.Zip(call.Arguments(inputs)));
        Pipeline?.Model.RequireInputs(given);
        return Arguments(given, new StructuredTensors([(Labels, labels)]), options);
    }

    private static StructuredTensors PartsOf<TResult>(TResult result) => new([("the result", result)]);

    /// <summary>The results of all microbatches, made of the tensors that are returned of each.</summary>
    /// <param name="results">What the program returned, where the last stage is.</param>
    /// <param name="tensors">Its tensors.</param>
    private TResult[] Returned<TResult>(TResult[] results, IReadOnlyList<Tensor[]> tensors)
    {
        if (Pipeline is { IsLast: false })
            return [.. Pipeline.Share(Array.Empty<string>()).Zip(tensors, _resultText.Read<TResult>)];
        TResult[] built = [.. results.Zip(tensors, (result, ofMicrobatch) => (TResult)PartsOf(result).Build(ofMicrobatch)[0]!)];
        Pipeline?.Share(built.Zip(tensors, _resultText.Write).ToArray());
        return built;
    }

    private static TOutputs As<TOutputs>(object? value, IReadOnlyList<Tensor> tensors) => value is TOutputs outputs ? outputs
        : tensors is TOutputs all ? all
        : throw new InvalidOperationException($"{typeof(TModule).Name} returned a {value?.GetType().Name ?? "null"}; the step's function takes a {typeof(TOutputs).Name}.");
}
